import { describe, expect, it } from 'vitest';
import { type MessageContext, Messages, type Sink } from './messages.ts';

/** Writes when it is told to, as grpc-js does when the connection has room. */
class Wire implements Sink {
  readonly heard: string[] = [];
  #written: MessageContext['callback'] = undefined;

  sendMessageWithContext({ callback }: MessageContext, message: Buffer): void {
    expect(this.#written, 'one message at a time').toBeUndefined();
    this.#written = callback;
    this.heard.push(message.toString());
  }

  halfClose(): void {
    this.heard.push('end');
  }

  write(): void {
    const written = this.#written;
    this.#written = undefined;
    written?.();
  }
}

const given = (limit = 100) => {
  const messages = new Messages(limit);
  const told: string[] = [];
  return { messages, told, say: (text: string) => messages.send({ callback: () => told.push(text) }, Buffer.from(text)) };
};

describe('the messages of a call', () => {
  it('wait for somebody to send them, and go one at a time', () => {
    const { messages, told, say } = given();
    say('a');
    say('b');
    messages.halfClose();
    const wire = new Wire();
    messages.sendTo(wire);
    expect(wire.heard).toEqual(['a']);
    wire.write();
    expect([wire.heard, told]).toEqual([['a', 'b'], ['a']]);
    wire.write();
    expect([wire.heard, told]).toEqual([
      ['a', 'b', 'end'],
      ['a', 'b'],
    ]);
  });

  it('are sent again from the first, and the program hears of each once', () => {
    const { messages, told, say } = given();
    const [first, second] = [new Wire(), new Wire()];
    say('a');
    messages.sendTo(first);
    first.write();
    say('b');
    messages.detach(first);
    // What was not written waits for the next, and does not keep the program waiting.
    expect(told).toEqual(['a', 'b']);
    messages.halfClose();
    messages.sendTo(second);
    second.write();
    second.write();
    first.write();
    expect([second.heard, told]).toEqual([
      ['a', 'b', 'end'],
      ['a', 'b'],
    ]);
  });

  it('beyond the limit are sent once only', () => {
    const { messages, say } = given(3);
    const wire = new Wire();
    messages.sendTo(wire);
    say('ab');
    expect([messages.replayable, messages.copy()]).toEqual([true, undefined]);
    wire.write();
    say('cd');
    expect(messages.replayable).toBe(false);
    wire.write();
    messages.halfClose();
    expect(wire.heard).toEqual(['ab', 'cd', 'end']);
    expect(messages.copy()).toBeUndefined();
  });

  it('are counted once, and only when somebody sends them', () => {
    let sent = 0;
    const messages = new Messages(100, () => (sent += 1));
    for (const text of ['a', 'b', 'c']) messages.send({}, Buffer.from(text));
    expect(sent).toBe(0);
    const [first, second] = [new Wire(), new Wire()];
    messages.sendTo(first);
    first.write();
    expect(sent).toBe(2);
    messages.detach(first);
    messages.sendTo(second);
    second.write();
    expect(sent).toBe(2);
    second.write();
    expect(sent).toBe(3);
  });

  it('of a committed call are let go', () => {
    const { messages, say } = given();
    messages.sendTo(new Wire());
    say('a');
    messages.commit();
    expect(messages.replayable).toBe(false);
  });

  it('can be copied when all of them are there', () => {
    const { messages, say } = given();
    say('a');
    expect(messages.copy()).toBeUndefined();
    messages.halfClose();
    const wire = new Wire();
    messages.copy()!.sendTo(wire);
    wire.write();
    expect(wire.heard).toEqual(['a', 'end']);
  });
});
