// What Chromium asks beside the parts of its page, and where it goes then. What for is told in ../case_tls_clients.py.
"use strict";
// Version of TLS, version of HTTP, and the port that has them.
const PAGES = [["1.2", 1, 8445], ["1.2", 2, 8446], ["1.3", 1, 8447], ["1.3", 2, 8448]];
const CHATS = 8449;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function ask(path, expected, options) {
  const answer = await fetch(path, options);
  await answer.arrayBuffer();
  if (answer.status !== expected) throw new Error(`${path}: ${answer.status}, not ${expected}`);
}

/** A WebSocket: `opened` is called with it, `got` with each message; resolves when it is closed. */
function chat(path, opened, got) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`wss://127.0.0.1:${CHATS}${path}`);
    socket.binaryType = "arraybuffer";
    let count = 0;
    socket.onopen = () => socket.extensions.includes("permessage-deflate") ? opened(socket) : reject(new Error("not compressed"));
    socket.onmessage = (event) => got?.(socket, ++count, event.data);
    socket.onclose = (event) => resolve(event.code);
  });
}

async function chats() {
  await chat("/chat", (socket) => {
    for (const message of ["hello", "tea ".repeat(500), new Uint8Array(300)]) socket.send(message);
  }, (socket, count) => { if (count === 3) socket.close(4001, "genug für heute"); });
  await chat("/parts", (socket) => socket.send("go on"), (socket, count) => { if (count === 2) socket.send("enough"); });
  await chat("/pings", (socket) => setTimeout(() => socket.close(1000), 300));
  await chat("/going-away", (socket) => socket.send("what now?"));
}

async function main() {
  const [, , tls, http] = location.pathname.split("/");
  const mark = `client=chromium&tls=${tls}&http=${http}`;
  await ask(`/items?${mark}`, 200);
  await ask(`/missing?${mark}`, 404);
  await ask(`/items?size=${tls === "1.2" ? 2000 : 17000}&${mark}`, 200, { method: "POST", body: "x".repeat(2000) });
  if (tls === "1.3" && http === "1") await chats();
  // The server closes what is idle for 600 ms: the next connection takes the session up.
  await pause(900);
  await ask(`/chunked?${mark}`, 200);
  const left = new AbortController();
  setTimeout(() => left.abort(), 500);
  await ask(`/items?delay=1500&${mark}`, null, { signal: left.signal }).catch((error) => {
    if (error.name !== "AbortError") throw error;
  });
  const next = PAGES[PAGES.findIndex((page) => page[0] === tls && page[1] === Number(http)) + 1];
  if (next) location.href = `https://127.0.0.1:${next[2]}/chromium/${next[0]}/${next[1]}/page.html`;
}

addEventListener("load", () => main());
