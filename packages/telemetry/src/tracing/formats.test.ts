import { testCall } from '@inmesh/core/testing';
import { propagation } from '@opentelemetry/api';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseB3Multi, parseB3Single, pushB3Multi, pushB3Single } from './b3.ts';
import { formatBaggage, isBaggage, parseBaggage } from './baggage.ts';
import { newSpanId, newTraceId } from './ids.ts';
import { Format, readTrace } from './incoming.ts';
import { propagatorsFrom } from './propagators.ts';
import { formatTraceparent, parseTraceparent } from './traceparent.ts';
import { formatTracestate, MemberList, parseTracestate } from './tracestate.ts';

const TRACE = '80f198ee56343ba864fe8b2a57d3eff7';
const SPAN = 'e457b5a2e4d86bd1';
const nonZero = (length: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${length}}$`)).filter((text) => !/^0+$/.test(text));
const reference = fc.record({ traceId: nonZero(32), spanId: nonZero(16), flags: fc.integer({ min: 0, max: 3 }) });

describe('traceparent', () => {
  it('reads back what it writes', () => {
    fc.assert(
      fc.property(reference, (span) => {
        expect(parseTraceparent(formatTraceparent(span))).toMatchObject(span);
      }),
    );
  });

  it('means nothing by bits nobody has defined', () => {
    expect(parseTraceparent(`00-${TRACE}-${SPAN}-ff`)).toMatchObject({ flags: 3 });
  });
});

describe('tracestate', () => {
  it('keeps what it was given, longer than 512 characters too', () => {
    const text = Array.from({ length: 32 }, (_, at) => `vendor${at}=${'x'.repeat(100)}`).join(',');
    expect(formatTracestate(parseTracestate(text)!)).toBe(text);
  });

  it('puts what was changed last first, and drops the last beyond 32', () => {
    const members = Array.from({ length: 32 }, (_, at) => [`v${at}`, '1'] as const);
    const changed = new MemberList(members).set('v3', '2').set('new', '3');
    expect(changed.serialize()).toMatch(/^new=3,v3=2,v0=1,/);
    expect(changed.serialize().split(',')).toHaveLength(32);
    expect(changed.get('v3')).toBe('2');
    expect(changed.unset('v3').get('v3')).toBeUndefined();
    expect(changed.set('NOT', 'allowed').serialize()).toBe(changed.serialize());
  });
});

describe('B3', () => {
  it('reads back what it writes, in one header and in several', () => {
    fc.assert(
      fc.property(reference, ({ traceId, spanId, flags }) => {
        const span = { traceId, spanId, flags: flags & 1 };
        const lines: string[] = [];
        pushB3Single(lines, span);
        expect(parseB3Single(lines[1]!)).toEqual({ span, sampled: span.flags === 1 });
        const several: string[] = [];
        pushB3Multi(several, span);
        const headers = Object.fromEntries(several.flatMap((name, at) => (at % 2 === 0 ? [[name, several[at + 1]!]] : [])));
        expect(parseB3Multi(testCall({ headers }))).toEqual({ span, sampled: span.flags === 1 });
      }),
    );
  });

  it.each([
    ['0', { span: undefined, sampled: false }],
    ['d', { span: undefined, sampled: true }],
    [`${TRACE}-${SPAN}`, { span: { traceId: TRACE, spanId: SPAN, flags: 0 }, sampled: undefined }],
    [`${TRACE}-${SPAN}-d-05e3ac9a4f6e3b90`, { span: { traceId: TRACE, spanId: SPAN, flags: 1 }, sampled: true }],
    [`64fe8b2a57d3eff7-${SPAN}-0`, { span: { traceId: `0000000000000000${'64fe8b2a57d3eff7'}`, spanId: SPAN, flags: 0 }, sampled: false }],
    [`${'0'.repeat(32)}-${SPAN}-1`, undefined],
    [`${TRACE}-${SPAN}-2`, undefined],
    ['nonsense', undefined],
  ])('reads %s', (text, expected) => {
    expect(parseB3Single(text)).toEqual(expected);
  });

  it('takes the debug flag for a decision, and half a context for none', () => {
    const ids = { 'X-B3-TraceId': TRACE, 'X-B3-SpanId': SPAN };
    expect(parseB3Multi(testCall({ headers: { ...ids, 'X-B3-Flags': '1' } }))).toMatchObject({ sampled: true });
    expect(parseB3Multi(testCall({ headers: { 'X-B3-TraceId': TRACE } }))).toBeUndefined();
    expect(parseB3Multi(testCall())).toBeUndefined();
  });
});

describe('what a request says of its trace', () => {
  const b3 = `${TRACE}-${SPAN}-0`;
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

  it('is W3C’s word first; B3 beside it is handed on all the same', () => {
    const { span, formats, lines } = readTrace(testCall({ headers: { traceparent, b3 } }));
    expect(span).toMatchObject({ traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', flags: 1 });
    expect(formats).toBe(Format.W3C | Format.B3);
    expect(lines).toEqual(['traceparent', traceparent, 'b3', b3]);
  });

  it('is B3’s where W3C’s does not hold', () => {
    const { span, sampled, lines } = readTrace(testCall({ headers: { traceparent: `${traceparent}0`, tracestate: 'a=1', b3 } }));
    expect({ span, sampled, lines }).toEqual({ span: { traceId: TRACE, spanId: SPAN, flags: 0 }, sampled: false, lines: ['b3', b3] });
  });
});

describe('baggage', () => {
  it('is read and written by the rules of RFC 3986, properties kept', () => {
    const text = 'user=7,name=J%C3%BCrgen;p=1;q';
    const entries = parseBaggage(`${text},broken,=x`);
    expect(Object.keys(entries)).toEqual(['user', 'name']);
    expect(entries['name']!.value).toBe('Jürgen');
    expect(formatBaggage(propagation.createBaggage(entries))).toBe(text);
  });

  it('reads back what it writes', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fc.string({ unit: 'grapheme', maxLength: 20 }), { maxKeys: 10 }),
        (values) => {
          const baggage = propagation.createBaggage(Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { value }])));
          const read = parseBaggage(formatBaggage(baggage));
          expect(Object.fromEntries(Object.entries(read).map(([name, { value }]) => [name, value]))).toEqual(values);
        },
      ),
    );
  });

  it('ends where a header would grow too long', () => {
    const many = Object.fromEntries(Array.from({ length: 300 }, (_, at) => [`name${at}`, { value: 'x'.repeat(60) }]));
    const text = formatBaggage(propagation.createBaggage(many));
    expect(text.length).toBeLessThanOrEqual(8192);
    expect(text.split(',').length).toBeGreaterThan(100);
    expect(isBaggage(text)).toBe(true);
    expect(isBaggage('x'.repeat(8193))).toBe(false);
    expect(isBaggage('name=Jürgen')).toBe(false);
  });
});

it('ids are long enough, and none comes twice', () => {
  const ids = Array.from({ length: 2000 }, newTraceId);
  expect(new Set(ids).size).toBe(2000);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{32}$/);
  expect(newSpanId()).toMatch(/^[0-9a-f]{16}$/);
});

it('OTEL_PROPAGATORS: W3C unless it says otherwise', () => {
  expect(propagatorsFrom(undefined)).toEqual({ formats: Format.W3C, baggage: true });
  expect(propagatorsFrom('b3, b3multi,jaeger')).toEqual({ formats: Format.B3 | Format.B3_MULTI, baggage: false });
  expect(propagatorsFrom('none')).toEqual({ formats: 0, baggage: false });
});
