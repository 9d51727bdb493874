import { expect, test } from 'vitest';
import { eventReader, type ServerEvent } from './events.ts';

const STREAM = ': hello\n\nevent: a\nid: 1\ndata: {"x":1}\n\ndata: one\r\ndata:two\r\n\r\nevent: empty\n\nretry: 5\nevent: b\ndata\n\n';
const EVENTS: readonly ServerEvent[] = [
  { event: 'a', id: '1', data: '{"x":1}' },
  { event: 'message', id: '', data: 'one\ntwo' },
  { event: 'b', id: '', data: '' },
];

test('cuts a stream into events, wherever its chunks are cut', () => {
  for (let size = 1; size <= STREAM.length; size += 1) {
    const heard: ServerEvent[] = [];
    const read = eventReader((event) => heard.push(event));
    for (let at = 0; at < STREAM.length; at += size) read(STREAM.slice(at, at + size));
    expect(heard).toEqual(EVENTS);
  }
});

test('a line without an end is refused before it fills the memory', () => {
  const read = eventReader(() => {});
  const chunk = 'x'.repeat(2 ** 20);
  expect(() => {
    for (let sent = 0; sent < 20; sent += 1) read(chunk);
  }).toThrow('without an end');
});
