import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromBase64url, splitCompact } from './compact.ts';
import { parseJsonObject } from './json.ts';

const LIMITS = { depth: 4, members: 5 };
const parse = (text: string | Uint8Array): unknown => parseJsonObject(Buffer.from(text), LIMITS);

describe('a JSON object that means one thing only', () => {
  it('is what JSON.parse makes of it', () => {
    expect(parse('{"a":{"b":[{"c":1}]},"d":"}\\"{"}')).toEqual({ a: { b: [{ c: 1 }] }, d: '}"{' });
    expect(parse('{"__proto__":1}')).toEqual(JSON.parse('{"__proto__":1}'));
  });

  it.each([
    ['a name twice', '{"iss":"good","iss":"evil"}'],
    ['a name twice, once escaped', '{"iss":"good","\\u0069ss":"evil"}'],
    ['a name twice, with white space', '{"iss" : "good", "x":{}, "iss"\n:"evil"}'],
    ['a name twice further down', '{"a":[{"b":1,"b":2}]}'],
    ['an escaped quote before the second', '{"a\\"":1,"b":"\\\\","a\\"":2}'],
    ['too deep', '{"a":[[[[]]]]}'],
    ['too many names', '{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6}'],
    ['a list', '[]'],
    ['null', 'null'],
    ['a text', '"{}"'],
    ['nothing', ''],
    ['two objects', '{}{}'],
    ['a comma too many', '{"a":1,}'],
    ['a byte order mark', '\uFEFF{}'],
    ['bytes that are not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
    ['an overlong encoding', Buffer.from([0x7b, 0x22, 0xc1, 0xa1, 0x22, 0x3a, 0x31, 0x7d])],
  ])('refuses %s', (_, text) => {
    expect(parse(text)).toBeUndefined();
  });

  it('the same name in different objects is no second time', () => {
    expect(parse('{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}')).toBeUndefined(); // six names
    expect(parse('{"a":{"a":1},"b":[{"a":1},{"a":1}]}')).toBeDefined();
  });

  it('reads any object JSON can hold, and refuses it with a name doubled', () => {
    const wide = { depth: 1000, members: 1e6 };
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue(), { minKeys: 1 }), (object) => {
        const text = JSON.stringify(object);
        expect(parseJsonObject(Buffer.from(text), wide)).toEqual(JSON.parse(text));
        const [name] = Object.keys(JSON.parse(text) as object);
        const doubled = `${text.slice(0, -1)},${JSON.stringify(name)}:0}`;
        expect(parseJsonObject(Buffer.from(doubled), wide)).toBeUndefined();
      }),
    );
  });
});

describe('canonical base64url', () => {
  it('has one way to write each bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1 }), (bytes) => {
        expect(fromBase64url(Buffer.from(bytes).toString('base64url'))).toEqual(Buffer.from(bytes));
      }),
    );
  });

  it.each([
    ['nothing', ''], ['padding', 'YQ=='], ['one of two paddings', 'YQ='], ['standard alphabet', '-_+/'], ['a space inside', 'YW Jj'],
    ['a line break at the end', 'YWJj\n'], ['trailing bits that are not zero', 'YR'], ['one character too many', 'YWJjZ'], ['a question mark', 'YW?Jj'],
    ['a letter that is not ASCII', 'YWJé'],
  ])('refuses %s', (_, text) => {
    expect(fromBase64url(text)).toBeUndefined();
  }); // prettier-ignore
});

describe('the compact form', () => {
  it('has three parts', () => {
    expect(splitCompact('a.b.c')).toEqual(['a', 'b', 'c']);
    expect(['', 'a', 'a.b', 'a.b.c.d', 'a.b.c.d.e', '....'].map(splitCompact)).toEqual(Array(6).fill(undefined));
  });
});
