// A server on an event loop. Prints its port. /block blocks the loop until a byte comes on standard
// input, /slow waits for one without blocking it, all else is answered at once.
import { readSync } from "node:fs";
import { createServer } from "node:http";

const server = createServer((request, response) => {
  const answer = () => response.end("ok");
  if (request.url === "/block") {
    console.log("holds");
    readSync(0, Buffer.alloc(1));
    answer();
  } else if (request.url === "/slow") {
    process.stdin.once("data", answer);
    console.log("holds");
  } else {
    answer();
  }
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
