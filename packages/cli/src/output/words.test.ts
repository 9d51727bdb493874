import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { count, duration, pad, percent, printable, width, wrap } from './words.ts';

describe('words', () => {
  it('counts things', () => {
    expect([0, 1, 2].map((n) => count(n, 'error'))).toEqual(['no errors', '1 error', '2 errors']);
  });

  it.each([
    [0, '0 ms'],
    [25, '25 ms'],
    [999, '999 ms'],
    [1000, '1 s'],
    [1500, '1.5 s'],
    [59_999, '59.999 s'],
    [60_000, '1 min'],
    [150_000, '2 min 30 s'],
    [3_600_000, '1 h'],
    [5_430_000, '1 h 30 min 30 s'],
  ])('prints %i ms as %s', (ms, text) => {
    expect(duration(ms)).toBe(text);
  });

  it('prints no more digits of a percentage than mean something', () => {
    expect([90, 100 / 3, 0.01, 0].map(percent)).toEqual(['90 %', '33.33 %', '0.01 %', '0 %']);
  });

  it('fills up to a width in which colours do not count', () => {
    expect(pad('\u001b[31mab\u001b[39m', 4)).toBe('\u001b[31mab\u001b[39m  ');
    expect(pad('abcdef', 4)).toBe('abcdef');
  });

  it('breaks lines at blanks only, and indents what follows', () => {
    const text = 'the rule "canary" did not match: header end-user is "" but must equal "jason"';
    expect(wrap(text, 44, 4)).toBe('the rule "canary" did not match: header\n    end-user is "" but must equal "jason"');
    expect(wrap(text, Number.POSITIVE_INFINITY, 4)).toBe(text);
    expect(wrap('one\ntwo', 80, 2)).toBe('one\n  two');
  });

  it('never loses a word and never makes a line too long unless one word is', () => {
    fc.assert(
      fc.property(
        fc.array(fc.stringMatching(/^[a-z]{1,30}$/), { minLength: 1 }),
        fc.integer({ min: 40, max: 120 }),
        fc.nat(8),
        (words, columns, indent) => {
          const lines = wrap(words.join(' '), columns, indent)
            .split('\n')
            .map((line) => line.trim());
          expect(lines.join(' ')).toBe(words.join(' '));
          for (const line of lines) expect(width(line)).toBeLessThanOrEqual(columns - indent);
        },
      ),
    );
  });

  it('writes control characters out, so that a document cannot move the cursor', () => {
    expect(printable({ a: ['\u001b[2J\rgone', 1, null], 'b\n': 'x\ny' })).toEqual({ a: ['\\x1b[2J\\x0dgone', 1, null], 'b\n': 'x\ny' });
  });
});
