// The AI SDK as a reader of UI message streams: what `useChat` does, without React.
// In: one JSON line a stream, {"chunks": [base64, …]}. Out: one JSON line a stream, as tests/core/ui_messages.py has it.
import readline from 'node:readline';
import { AbstractChat, DefaultChatTransport } from 'ai';

class State {
  status = 'ready';
  error = undefined;
  messages = [];
  pushMessage = message => this.messages.push(message);
  popMessage = () => this.messages.pop();
  replaceMessage = (index, message) => (this.messages[index] = structuredClone(message));
  snapshot = structuredClone;
}

class Chat extends AbstractChat {}

async function read(chunks) {
  const seen = { transient: [], error: null };
  const body = new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(Buffer.from(chunk, 'base64'));
      controller.close();
    },
  });
  const chat = new Chat({
    state: new State(),
    transport: new DefaultChatTransport({ api: 'http://localhost/', fetch: async () => new Response(body) }),
    onData: part => part.transient && seen.transient.push({ type: part.type, data: part.data }),
    onError: error => (seen.error = error.message),
    onFinish: ({ finishReason, isError }) => Object.assign(seen, { finishReason: finishReason ?? null, isError }),
  });
  await chat.sendMessage({ text: '?' });
  const answer = chat.messages.find(message => message.role === 'assistant');
  return { ...seen, status: chat.status, parts: answer?.parts ?? [], metadata: answer?.metadata ?? null };
}

for await (const line of readline.createInterface({ input: process.stdin }))
  console.log(JSON.stringify(await read(JSON.parse(line).chunks)));
