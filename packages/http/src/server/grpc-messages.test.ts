import fc from 'fast-check';
import { expect, it } from 'vitest';
import { FrameCounter } from './grpc-messages.ts';

const framed = (lengths: readonly number[]): Buffer =>
  Buffer.concat(
    lengths.map((length) => {
      // Bytes that could be taken for a prefix.
      const message = Buffer.alloc(5 + length, 1);
      message.writeUInt32BE(length, 1);
      return message;
    }),
  );

it('counts messages however their bytes are cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 20 }),
      fc.array(fc.nat(6000), { maxLength: 30 }),
      (lengths, cuts) => {
        const bytes = framed(lengths);
        const at = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).toSorted((a, b) => a - b), bytes.length];
        const count = new FrameCounter();
        const counted = at.slice(1).reduce((sum, end, index) => sum + count.add(bytes.subarray(at[index], end)), 0);
        expect(counted).toBe(lengths.length);
      },
    ),
  );
});

it('counts a message when it begins, and believes its length up to 4 GiB', () => {
  const count = new FrameCounter();
  expect(count.add(Buffer.of(0))).toBe(1);
  expect(count.add(Buffer.of(0xff, 0xff, 0xff, 0xff))).toBe(0);
  expect(count.add(Buffer.alloc(1_000_000))).toBe(0);
});
