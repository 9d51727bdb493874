import type { Line } from './shapes.ts';
import { get } from './world.ts';

export interface TapEvents {
  readonly line: (line: Line) => void;
  /** So many lines were not sent: this reader was too slow. */
  readonly dropped: (count: number) => void;
}

/**
 * Follows the tap of a process until `signal` says otherwise. Resolves when the process ends it; rejects with what the process
 * says against it, which an EventSource would keep to itself.
 */
export async function follow(url: string, events: TapEvents, signal: AbortSignal): Promise<void> {
  const answer = await get(url, signal);
  if (answer.status === 204 || answer.body === null) throw new Error('this process offers no tap');
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split('\n\n');
    text = blocks.pop()!;
    for (const block of blocks) {
      const data = /^data: ?(.*)$/m.exec(block)?.[1];
      if (data === undefined) continue;
      if (/^event: ?dropped$/m.test(block)) events.dropped(Number(data));
      else events.line(JSON.parse(data) as Line);
    }
  }
}
