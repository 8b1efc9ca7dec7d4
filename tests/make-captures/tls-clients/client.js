// Requests of Node's modules https and http2: node --tls-keylog=KEY-LOG client.js. What it asks, and how it gives up, is told in
// ../case_tls_clients.py.
"use strict";
const http2 = require("node:http2");
const https = require("node:https");

const paths = (size) => [["GET", "/items?", 200], ["GET", "/missing?", 404], ["POST", `/items?size=${size}&`, 200]];
const LATER = [["GET", "/chunked?", 200], ["GET", "/items?delay=1500&", null]];
const body = (method) => method === "POST" ? "x".repeat(2000) : undefined;

/** Whether a request ended as it should: with a status, or, if that is null, given up after 500 ms. */
function check(path, status, expected) {
  if (status !== expected) throw new Error(`${path}: ${status}, not ${expected}`);
}

function ask1(agent, options, method, path, expected) {
  return new Promise((resolve, reject) => {
    const request = https.request({ ...options, agent, method, path }, (answer) => {
      answer.resume();
      answer.on("end", () => resolve(check(path, answer.statusCode, expected)));
    });
    const timer = expected === null && setTimeout(() => request.destroy(), 500);
    request.on("error", (error) => expected === null ? resolve() : reject(error));
    request.on("close", () => clearTimeout(timer));
    request.end(body(method));
  });
}

function ask2(session, method, path, expected) {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ":method": method, ":path": path });
    let status = null;
    const timer = expected === null && setTimeout(() => stream.close(http2.constants.NGHTTP2_CANCEL), 500);
    stream.on("response", (headers) => { status = headers[":status"]; });
    stream.on("error", reject);
    stream.on("close", () => { clearTimeout(timer); resolve(check(path, status, expected)); });
    stream.resume();
    stream.end(body(method));
  });
}

async function main() {
  for (const [version, size] of [["1.2", 2000], ["1.3", 17000]]) {
    const options = { host: "127.0.0.1", servername: "catalog.shop", rejectUnauthorized: false, minVersion: `TLSv${version}`, maxVersion: `TLSv${version}` };
    const marked = (path, http) => `${path}client=node&tls=${version}&http=${http}`;
    // An agent keeps sessions, and the next connection takes one up.
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
    for (const [method, path, expected] of paths(size)) await ask1(agent, { ...options, port: 8444 }, method, marked(path, 1), expected);
    for (const socket of Object.values(agent.freeSockets).flat()) socket.end();
    await new Promise((resolve) => setTimeout(resolve, 50));
    for (const [method, path, expected] of LATER) await ask1(agent, { ...options, port: 8444 }, method, marked(path, 1), expected);
    agent.destroy();

    // A connection of HTTP/2 is given its session.
    let kept;
    for (const requests of [paths(size), LATER]) {
      const session = http2.connect("https://127.0.0.1:8443", { ...options, session: kept });
      session.on("connect", () => session.socket.on("session", (ticket) => { kept = ticket; }));
      for (const [method, path, expected] of requests) await ask2(session, method, marked(path, 2), expected);
      kept ??= session.socket.getSession();
      await new Promise((resolve) => session.close(resolve));
    }
  }
}

main().catch((error) => { console.error(error); process.exit(1); });
