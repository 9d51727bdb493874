import { describe, expect, it } from 'vitest';
import { paintFor, wantsColour } from './paint.ts';

const onTerminal = { stdin: true, stdout: true, stderr: true };
const inPipe = { stdin: false, stdout: false, stderr: false };

describe('colours', () => {
  it.each([
    ['are there on a terminal', {}, onTerminal, true],
    ['are not there in a pipe', {}, inPipe, false],
    ['are left out where NO_COLOR asks', { NO_COLOR: '1' }, onTerminal, false],
    ['ignore an empty NO_COLOR', { NO_COLOR: '' }, onTerminal, true],
    ['are left out on a dumb terminal', { TERM: 'dumb' }, onTerminal, false],
    ['are forced by FORCE_COLOR', { FORCE_COLOR: '1' }, inPipe, true],
    ['are forced by an empty FORCE_COLOR, as in Node', { FORCE_COLOR: '' }, inPipe, true],
    ['are forced even against NO_COLOR', { FORCE_COLOR: '1', NO_COLOR: '1' }, inPipe, true],
    ['are forbidden by FORCE_COLOR=0', { FORCE_COLOR: '0' }, onTerminal, false],
  ])('%s', (_, env, tty, wanted) => {
    expect(wantsColour({ env, tty }, 'stdout')).toBe(wanted);
  });

  it('are decided for each output', () => {
    const io = { env: {}, tty: { stdin: false, stdout: false, stderr: true } };
    expect(paintFor(io, 'stdout')('red', 'x')).toBe('x');
    expect(paintFor(io, 'stderr')('red', 'x')).toBe('\u001b[31mx\u001b[39m');
  });
});
