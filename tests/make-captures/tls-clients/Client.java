import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpTimeoutException;
import java.security.cert.X509Certificate;
import java.time.Duration;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509ExtendedTrustManager;

/**
 * Requests of java.net.http: java -javaagent:extract-tls-secrets.jar=KEY-LOG Client.java. What it asks, and how it gives up, is told in
 * ../case_tls_clients.py.
 */
class Client {
    /** Trusts everybody. */
    static final TrustManager TRUSTING = new X509ExtendedTrustManager() {
        @Override
        public void checkClientTrusted(X509Certificate[] chain, String type, Socket socket) {}

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String type, Socket socket) {}

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String type, SSLEngine engine) {}

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String type, SSLEngine engine) {}

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String type) {}

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String type) {}

        @Override
        public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }
    };

    /** Makes a request, and fails unless it ends as it should: with a status, or, if that is 0, given up after 500 ms. */
    static void request(HttpClient client, String method, String address, int expected) throws Exception {
        var body = method.equals("POST") ? HttpRequest.BodyPublishers.ofString("x".repeat(2000)) : HttpRequest.BodyPublishers.noBody();
        var request = HttpRequest.newBuilder(URI.create(address)).method(method, body);
        if (expected == 0) {
            request.timeout(Duration.ofMillis(500));
        }
        try {
            int status = client.send(request.build(), HttpResponse.BodyHandlers.discarding()).statusCode();
            if (status != expected) {
                throw new IllegalStateException(address + ": " + status);
            }
        } catch (HttpTimeoutException timeout) {
            if (expected != 0) {
                throw timeout;
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        for (String version : new String[] {"1.2", "1.3"}) {
            for (int http = 1; http <= 2; http++) {
                // Sessions are kept with the context, and taken up by the connections of another client.
                var context = SSLContext.getInstance("TLS");
                context.init(null, new TrustManager[] {TRUSTING}, null);
                var parameters = new SSLParameters(null, new String[] {"TLSv" + version});
                var server = "https://127.0.0.1:" + (http == 1 ? 8444 : 8443);
                var mark = "client=java&tls=" + version + "&http=" + http;
                var made = HttpClient.newBuilder().sslContext(context).sslParameters(parameters)
                        .version(http == 1 ? HttpClient.Version.HTTP_1_1 : HttpClient.Version.HTTP_2);
                var first = made.build();
                request(first, "GET", server + "/items?" + mark, 200);
                request(first, "GET", server + "/missing?" + mark, 404);
                request(first, "POST", server + "/items?size=" + (version.equals("1.2") ? 2000 : 17000) + "&" + mark, 200);
                var second = made.build();
                request(second, "GET", server + "/chunked?" + mark, 200);
                request(second, "GET", server + "/items?delay=1500&" + mark, 0);
            }
        }
        // RST_STREAM is sent a moment later.
        Thread.sleep(50);
        System.exit(0);
    }
}
