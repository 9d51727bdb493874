/** One server-sent event (WHATWG HTML, 9.2.6), as far as registries use it. */
export interface ServerEvent {
  readonly event: string;
  readonly id: string;
  readonly data: string;
}

/** A line that has no end is no stream of ours. */
const LONGEST = 16 * 2 ** 20;

/** Cuts a stream into events. Throws if one is longer than could be meant. */
export function eventReader(onEvent: (event: ServerEvent) => void): (chunk: string) => void {
  let rest = '';
  let event = 'message';
  let id = '';
  let data: string[] = [];
  const line = (text: string): void => {
    if (text === '') {
      if (data.length > 0) onEvent({ event, id, data: data.join('\n') });
      event = 'message';
      id = '';
      data = [];
      return;
    }
    const colon = text.indexOf(':');
    const field = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? '' : text.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') event = value;
    else if (field === 'id') id = value;
    else if (field === 'data') data.push(value);
  };
  return (chunk) => {
    const lines = (rest + chunk).split(/\r\n|\n/);
    rest = lines.pop()!;
    if (rest.length + data.reduce((sum, { length }) => sum + length, 0) > LONGEST) throw new Error('an event without an end');
    for (const one of lines) line(one);
  };
}
