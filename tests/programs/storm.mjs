// HOST PORT N: N connections at once by net.connect; each is greeted and hears what it said.
import net from "node:net";

const [host, port, number] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];

let before = Date.now(), longest = 0;
const turning = setInterval(() => {
  longest = Math.max(longest, Date.now() - before);
  before = Date.now();
}, 10);

// By default node gives up an address after 250 ms if the name has another one.
const patient = { port, host, autoSelectFamilyAttemptTimeout: 50_000 };

const counts = { found: 0, open: 0, heard: 0, closed: 0 };
const open = () => new Promise((done, fail) => {
  const socket = net.connect(patient, () => {
    counts.open += 1;
    done(socket);
  });
  socket.on("lookup", () => { counts.found += 1; });
  socket.on("error", fail);
});

const speak = (socket, n) => new Promise((done, fail) => {
  const expected = `hello\nclient ${n}\n`;
  let heard = "";
  socket.on("data", (data) => {
    heard += data;
    if (heard !== expected) return;
    counts.heard += 1;
    socket.end();
  });
  socket.on("close", () => {
    counts.closed += 1;
    heard === expected ? done() : fail(new Error(`heard ${heard}`));
  });
  socket.write(`client ${n}\n`);
});

setTimeout(() => { throw new Error(`60 s are over: ${JSON.stringify(counts)}`); }, 60_000).unref();
// All are open before the first one speaks.
const sockets = await Promise.all(Array.from({ length: number }, open));
await Promise.all(sockets.map(speak));
clearInterval(turning);
if (longest > 10000) throw new Error(`the event loop stood still for ${longest} ms`);
console.log(`${number} at once`);
