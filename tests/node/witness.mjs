// The official Node client against one server: node witness.mjs ENDPOINT IMAGE CALL...
// Prints one JSON line a call: {"call", "chunks" or "result", "error"}. What a client gave before it failed is kept.
// A call may be "CALL | FAULT": then a header asks `moondream-stream serve` for that fault.
import fs from 'node:fs';
import http from 'node:http';
import { vl } from 'moondream';

const [endpoint, file, ...calls] = process.argv.slice(2);
const model = new vl({ endpoint, apiKey: 'none' });
const image = fs.readFileSync(file);
const question = 'What is in this image?';
const object = 'moon';

let fault;
const request = http.request;
http.request = (url, options, ...rest) => {
  if (fault) options.headers['X-Moondream-Fault'] = fault;
  return request(url, options, ...rest);
};

const CALLS = {
  query: () => model.query({ image, question }),
  'query, streamed': async () => (await model.query({ image, question, stream: true })).answer,
  caption: () => model.caption({ image, length: 'short' }),
  'caption, streamed': async () => (await model.caption({ image, length: 'short', stream: true })).caption,
  segment: () => model.segment({ image, object }),
  'segment, streamed': async () => (await model.segment({ image, object, stream: true })).stream,
  detect: () => model.detect({ image, object }),
  point: () => model.point({ image, object }),
};

for (const asked of calls) {
  let call;
  [call, fault] = asked.split(' | ');
  const seen = { call: asked, error: null };
  try {
    const result = await CALLS[call]();
    if (Symbol.asyncIterator in result) {
      seen.chunks = [];
      for await (const chunk of result) seen.chunks.push(chunk);
    } else {
      seen.result = result;
    }
  } catch (error) {
    seen.error = `${error.name}: ${error.message}`;
  }
  console.log(JSON.stringify(seen));
}
process.exit(0); // a server that was left in the middle keeps its connection open
