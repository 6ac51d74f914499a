// The player of the page of streams, by a clock of its own.
// tests/tools/inspect/test_javascript.py runs this: node --test.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Clock, Player, STREAM, Trace, counted, data } from "./inspect.mjs";

const opened = (fields = {}) => {
  const clock = new Clock();
  const trace = new Trace({ ...STREAM, ...fields });
  const player = new Player(trace, clock);
  return { clock, trace, player, counts: counted(player, "moment", "mode") };
};
const chunkAt = (at, start) => data({ chunks: [{ at, start, end: start, decoded_end: start,
  cut: 0 }] });

test("it plays by the clock, once a frame, and stops at the end", async () => {
  const { clock, player, counts } = opened();
  assert.equal(player.time, 4);
  player.play(); // from the beginning, as it was at the end
  assert.deepEqual([player.time, player.playing], [0, true]);
  clock.tick(100);
  assert.equal(player.time, 0.1);
  player.speed = 10;
  clock.tick(100);
  assert.equal(player.time, 1.1);
  assert.equal(counts.moment, 3); // one of them by `play`
  clock.tick(60_000); // a tab that was hidden does not leap
  assert.equal(player.time, 4);
  assert.equal(player.playing, false);
  assert.equal(clock.tick(16), false);
});

test("a pause keeps the moment, and a seek stays between the ends", async () => {
  const { clock, player, counts } = opened();
  player.seek(1);
  player.play();
  player.pause();
  player.pause();
  assert.deepEqual([player.time, player.playing, clock.tick(100), counts.mode], [1, false, false, 2]);
  const times = [-1, 9, NaN, 2.5].map((time) => {
    player.seek(time);
    return player.time;
  });
  assert.deepEqual(times, [0, 4, 4, 2.5]);
  player.toggle();
  player.seek(1);
  assert.equal(player.playing, true);
});

test("steps go to the next and the previous chunk or event", async () => {
  const { player } = opened();
  player.seek(0);
  const steps = (lane, by, count) => {
    let from = null;
    return Array.from({ length: count }, () => {
      from = player.step(lane, by, from);
      return from && `${from.index} at ${player.time}`;
    });
  };
  assert.deepEqual(steps("chunk", 1, 4), ["0 at 1", "1 at 2", "2 at 3", null]);
  assert.deepEqual(steps("chunk", -1, 3), ["1 at 2", "0 at 1", null]);
  // Events of one moment one by one.
  assert.deepEqual(steps("event", 1, 4), ["0 at 2", "1 at 3", "2 at 3", "3 at 4"]);
  assert.deepEqual(steps("event", -1, 3), ["2 at 3", "1 at 3", "0 at 2"]);
  player.seek(2.5);
  assert.equal(player.step("chunk", -1).index, 1);
});

test("at the highest speed each frame brings a chunk", async () => {
  const { clock, player } = opened();
  player.speed = Infinity;
  player.play();
  const times = Array.from({ length: 4 }, () => clock.tick(1) && player.time);
  assert.deepEqual(times, [1, 2, 3, 4]);
  assert.equal(player.playing, false);
});

test("it follows an exchange that is under way, until a pause", async () => {
  const { clock, trace, player } = opened({ ending: null, events: [] });
  assert.equal(player.end, 3);
  player.follow();
  assert.deepEqual([player.playing, player.following], [true, true]);
  trace.append(chunkAt(5, 20));
  assert.equal(player.time, 5);
  player.pause();
  trace.append(chunkAt(6, 20));
  assert.deepEqual([player.time, player.end, player.following], [5, 6, false]);
  player.play();
  clock.tick(400);
  assert.equal(player.time, 5.4);
  clock.tick(400);
  clock.tick(400); // it comes to the end, and stays there
  assert.deepEqual([player.time, player.following], [6, true]);
  trace.append({ ...chunkAt(7, 20), ending: { at: 8, fault: "eof", message: "" } });
  assert.deepEqual([player.time, player.playing, player.following], [8, false, false]);
});

test("the end of an exchange while it is looked at elsewhere changes nothing but the end", async () => {
  const { trace, player, counts } = opened({ ending: null });
  player.seek(1);
  counts.moment = 0;
  trace.append(data({ ending: { at: 9, fault: "eof", message: "" } }));
  assert.deepEqual([player.time, player.end, player.playing, counts.moment], [1, 9, false, 1]);
});
