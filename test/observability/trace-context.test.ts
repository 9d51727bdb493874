import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { meshOf, serviceEntry, type TestMesh } from '../support/mesh.ts';
import { type KeptSpans, startSdk } from '../support/otel.ts';
import { say, upstream, type Upstream } from '../support/upstream.ts';

// The cases of the public conformance suite (w3c/trace-context, test/test.py), one row each. Its harness asks a service to call back, any
// number of times, and looks at the headers of what comes: here the service is a program behind the mesh that passes no header on.

const HARNESS = 'harness.example.com';
type Line = readonly [name: string, value: string];

/** What a callback was sent. */
interface Sent {
  readonly traceparent: readonly string[];
  readonly tracestate: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly flags: string;
  readonly state: ReadonlyMap<string, string>;
}

let harness: Upstream;
let mesh: TestMesh;
let port: number;
let close: () => Promise<void>;

beforeAll(async () => {
  harness = await upstream(say('ok'));
  mesh = await meshOf(serviceEntry(HARNESS, [harness.port]));
  const listening = await mesh.listen((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const calls = JSON.parse(Buffer.concat(chunks).toString()) as { url: string; arguments: unknown[] }[];
      void (async () => {
        for (const { url, arguments: given } of calls) await mesh.fetch(url, { method: 'POST', body: JSON.stringify(given) });
        response.end();
      })();
    });
  }, 0);
  port = listening.port;
  close = async () => listening.close({ graceMs: 0 });
});

afterAll(async () => {
  await close();
  await mesh.close({ graceMs: 0 });
  await harness.kill();
});

/** Sends headers as they stand, and gives what the callbacks got. */
async function exchange(lines: readonly Line[], times = 1): Promise<Sent[]> {
  harness.seen.length = 0;
  const body = JSON.stringify(Array.from({ length: times }, (_, at) => ({ url: `http://${HARNESS}/callback/${at}`, arguments: [] })));
  await new Promise<void>((resolve, reject) => {
    const headers = ['host', 'service', 'content-type', 'application/json', 'content-length', String(body.length), ...lines.flat()];
    request({ port, host: '127.0.0.1', path: '/test', method: 'POST', headers, agent: false }, (answer) => {
      answer.resume().on('end', () => resolve());
      if (answer.statusCode !== 200) reject(new Error(`status ${answer.statusCode}`));
    })
      .on('error', reject)
      .end(body);
  });
  expect(harness.seen).toHaveLength(times);
  return harness.seen.map(({ headers, rawHeaders }) => {
    const traceparent = rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]!.toLowerCase() === 'traceparent');
    const [, , traceId = '', spanId = '', flags = ''] =
      /^(00|cc)-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})/.exec(traceparent[0] ?? '') ?? [];
    const tracestate = String(headers['tracestate'] ?? '');
    const state = new Map(
      tracestate
        .split(',')
        .filter((part) => part !== '')
        .map((part) => [part.slice(0, part.indexOf('=')), part.slice(part.indexOf('=') + 1)]),
    );
    return { traceparent, tracestate, traceId, spanId, flags, state };
  });
}

const TRACE = '12345678901234567890123456789012';
const SPAN = '1234567890123456';
const PARENT: Line = ['traceparent', `00-${TRACE}-${SPAN}-00`];
const state = (value: string): Line => ['tracestate', value];

/** What a row expects of the trace: the one that was sent, or another that begins here. */
type Outcome = 'continued' | 'restarted';

interface Row {
  readonly name: string;
  /** Each is a request of its own. */
  readonly variants: readonly (readonly Line[])[];
  readonly trace: Outcome | readonly Outcome[];
  /** Of each request that continues; undefined: nothing is expected. */
  readonly tracestate?: readonly (readonly Line[])[];
  readonly times?: number;
}

const parents = (...values: string[]): readonly (readonly Line[])[] => values.map((value) => [['traceparent', value]]);
const states = (...values: string[]): readonly (readonly Line[])[] => values.map((value) => [PARENT, state(value)]);
const full = (from: number, to: number): string =>
  Array.from({ length: to - from + 1 }, (_, at) => `bar${String(from + at).padStart(2, '0')}=${String(from + at).padStart(2, '0')}`).join(
    ',',
  );
const membersOf = (text: string): Line[] => text.split(',').map((part) => part.split('=') as [string, string]);
const NONE: readonly Line[] = [];

const ROWS: readonly Row[] = [
  { name: 'both traceparent and tracestate missing', variants: [[]], trace: 'restarted' },
  { name: 'traceparent included, tracestate missing', variants: parents(`00-${TRACE}-${SPAN}-01`), trace: 'continued', tracestate: [NONE] },
  {
    name: 'traceparent duplicated',
    variants: [
      [
        ['traceparent', '00-12345678901234567890123456789011-1234567890123456-01'],
        ['traceparent', '00-12345678901234567890123456789012-1234567890123456-01'],
      ],
    ],
    trace: 'restarted',
  },
  {
    name: 'traceparent header name',
    variants: [[['trace-parent', `00-${TRACE}-${SPAN}-01`]], [['trace.parent', `00-${TRACE}-${SPAN}-01`]]],
    trace: 'restarted',
  },
  {
    name: 'traceparent header name in any casing',
    variants: ['TraceParent', 'TrAcEpArEnT', 'TRACEPARENT'].map((name) => [[name, `00-${TRACE}-${SPAN}-01`]]),
    trace: 'continued',
  },
  {
    name: 'traceparent version 0x00',
    variants: parents(`00-${TRACE}-${SPAN}-01.`, `00-${TRACE}-${SPAN}-01-what-the-future-will-be-like`),
    trace: 'restarted',
  },
  {
    name: 'traceparent version 0xcc',
    variants: parents(
      `cc-${TRACE}-${SPAN}-01`,
      `cc-${TRACE}-${SPAN}-01-what-the-future-will-be-like`,
      `cc-${TRACE}-${SPAN}-01.what-the-future-will-be-like`,
    ),
    trace: ['continued', 'continued', 'restarted'],
  },
  { name: 'traceparent version 0xff', variants: parents(`ff-${TRACE}-${SPAN}-01`), trace: 'restarted' },
  {
    name: 'traceparent version with illegal characters',
    variants: parents(`.0-${TRACE}-${SPAN}-01`, `0.-${TRACE}-${SPAN}-01`),
    trace: 'restarted',
  },
  { name: 'traceparent version too long', variants: parents(`000-${TRACE}-${SPAN}-01`, `0000-${TRACE}-${SPAN}-01`), trace: 'restarted' },
  { name: 'traceparent version too short', variants: parents(`0-${TRACE}-${SPAN}-01`), trace: 'restarted' },
  { name: 'traceparent trace-id all zero', variants: parents(`00-${'0'.repeat(32)}-${SPAN}-01`), trace: 'restarted' },
  {
    name: 'traceparent trace-id with illegal characters',
    variants: parents(`00-.2345678901234567890123456789012-${SPAN}-01`, `00-1234567890123456789012345678901.-${SPAN}-01`),
    trace: 'restarted',
  },
  { name: 'traceparent trace-id too long', variants: parents(`00-123456789012345678901234567890123-${SPAN}-01`), trace: 'restarted' },
  { name: 'traceparent trace-id too short', variants: parents(`00-1234567890123456789012345678901-${SPAN}-01`), trace: 'restarted' },
  { name: 'traceparent parent-id all zero', variants: parents(`00-${TRACE}-0000000000000000-01`), trace: 'restarted' },
  {
    name: 'traceparent parent-id with illegal characters',
    variants: parents(`00-${TRACE}-.234567890123456-01`, `00-${TRACE}-123456789012345.-01`),
    trace: 'restarted',
  },
  { name: 'traceparent parent-id too long', variants: parents(`00-${TRACE}-12345678901234567-01`), trace: 'restarted' },
  { name: 'traceparent parent-id too short', variants: parents(`00-${TRACE}-123456789012345-01`), trace: 'restarted' },
  {
    name: 'traceparent trace-flags with illegal characters',
    variants: parents(`00-${TRACE}-${SPAN}-.0`, `00-${TRACE}-${SPAN}-0.`),
    trace: 'restarted',
  },
  { name: 'traceparent trace-flags too long', variants: parents(`00-${TRACE}-${SPAN}-001`), trace: 'restarted' },
  { name: 'traceparent trace-flags too short', variants: parents(`00-${TRACE}-${SPAN}-1`), trace: 'restarted' },
  {
    name: 'traceparent with optional white space around it',
    variants: parents(
      ` 00-${TRACE}-${SPAN}-01`,
      `\t00-${TRACE}-${SPAN}-01`,
      `00-${TRACE}-${SPAN}-01 `,
      `00-${TRACE}-${SPAN}-01\t`,
      `\t 00-${TRACE}-${SPAN}-01 \t`,
    ),
    trace: 'continued',
  },
  { name: 'tracestate included, traceparent missing', variants: [[state('foo=1')], [state('foo=1,bar=2')]], trace: 'restarted' },
  {
    name: 'tracestate included, traceparent included',
    variants: states('foo=1,bar=2'),
    trace: 'continued',
    tracestate: [membersOf('foo=1,bar=2')],
  },
  {
    name: 'tracestate header name',
    variants: [
      [PARENT, ['trace-state', 'foo=1']],
      [PARENT, ['trace.state', 'foo=1']],
    ],
    trace: 'continued',
    tracestate: [NONE, NONE],
  },
  {
    name: 'tracestate header name in any casing',
    variants: ['TraceState', 'TrAcEsTaTe', 'TRACESTATE'].map((name) => [PARENT, [name, 'foo=1']]),
    trace: 'continued',
    tracestate: [membersOf('foo=1'), membersOf('foo=1'), membersOf('foo=1')],
  },
  {
    name: 'tracestate header empty',
    variants: [
      [PARENT, state('')],
      [PARENT, state('foo=1'), state('')],
      [PARENT, state(''), state('foo=1')],
    ],
    trace: 'continued',
    tracestate: [NONE, membersOf('foo=1'), membersOf('foo=1')],
  },
  {
    name: 'tracestate in several headers with different keys',
    variants: [[PARENT, state('foo=1,bar=2'), state('rojo=1,congo=2'), state('baz=3')]],
    trace: 'continued',
    tracestate: [membersOf('foo=1,bar=2,rojo=1,congo=2,baz=3')],
  },
  {
    name: 'tracestate with duplicated keys',
    variants: [...states('foo=1,foo=1', 'foo=1,foo=2'), [PARENT, state('foo=1'), state('foo=1')], [PARENT, state('foo=1'), state('foo=2')]],
    trace: 'continued',
    tracestate: [membersOf('foo=1'), membersOf('foo=1'), membersOf('foo=1'), membersOf('foo=1')],
  },
  {
    name: 'tracestate with all allowed characters',
    variants: states(`${KEY_CHARACTERS()}=1,a-1@b=${VALUE_CHARACTERS()}`),
    trace: 'continued',
    tracestate: [
      [
        [KEY_CHARACTERS(), '1'],
        ['a-1@b', VALUE_CHARACTERS()],
      ],
    ],
  },
  {
    name: 'tracestate with optional white space',
    variants: states(
      'foo=1 \t , \t bar=2, \t baz=3',
      'foo=1\t \t,\t \tbar=2,\t \tbaz=3',
      ' foo=1',
      '\tfoo=1',
      'foo=1 ',
      'foo=1\t',
      '\t foo=1 \t',
    ),
    trace: 'continued',
    tracestate: [
      ...Array.from({ length: 2 }, () => membersOf('foo=1,bar=2,baz=3')),
      ...Array.from({ length: 5 }, () => membersOf('foo=1')),
    ],
  },
  {
    name: 'tracestate key with illegal characters',
    variants: states('foo =1', 'FOO=1', 'foo.bar=1', 'foo =1,bar=2'),
    trace: 'continued',
    tracestate: [NONE, NONE, NONE, NONE],
  },
  {
    name: 'tracestate key of an illegal vendor format',
    variants: states('foo@=1,bar=2', '@foo=1,bar=2', 'foo@@bar=1,bar=2', 'foo@bar@baz=1,bar=2'),
    trace: 'continued',
    tracestate: [NONE, NONE, NONE, NONE],
  },
  {
    name: 'tracestate of 32 members, and of 33',
    variants: [
      [PARENT, state(full(1, 10)), state(full(11, 20)), state(full(21, 30)), state(full(31, 32))],
      [PARENT, state(full(1, 10)), state(full(11, 20)), state(full(21, 30)), state(full(31, 33))],
    ],
    trace: 'continued',
    tracestate: [membersOf(full(1, 32)), NONE],
  },
  {
    name: 'tracestate key length limit',
    variants: states(
      `foo=1,${'z'.repeat(256)}=1`,
      `foo=1,${'t'.repeat(241)}@${'v'.repeat(14)}=1`,
      `foo=1,${'z'.repeat(257)}=1`,
      `foo=1,${'t'.repeat(242)}@v=1`,
      `foo=1,t@${'v'.repeat(15)}=1`,
    ),
    trace: 'continued',
    tracestate: [membersOf(`foo=1,${'z'.repeat(256)}=1`), membersOf(`foo=1,${'t'.repeat(241)}@${'v'.repeat(14)}=1`), NONE, NONE, NONE],
  },
  {
    name: 'tracestate value with illegal characters',
    variants: states('foo=bar=baz', 'foo=,bar=3'),
    trace: 'continued',
    tracestate: [NONE, NONE],
  },
  { name: 'several calls with a valid traceparent', variants: parents(`00-${TRACE}-${SPAN}-01`), trace: 'continued', times: 3 },
  { name: 'several calls without a traceparent', variants: [[]], trace: 'restarted', times: 3 },
  { name: 'several calls with an illegal traceparent', variants: parents(`00-0-${SPAN}-01`), trace: 'restarted', times: 3 },
  { name: 'the random flag of level 2', variants: parents(`00-${TRACE}-${SPAN}-02`, `00-${TRACE}-${SPAN}-03`), trace: 'continued' },
];

function KEY_CHARACTERS(): string {
  return `0${'abcdefghijklmnopqrstuvwxyz0123456789'}_-*/`;
}

/** Everything printable but `,` and `=`; a space within. */
function VALUE_CHARACTERS(): string {
  return Array.from({ length: 0x7e - 0x20 + 1 }, (_, at) => String.fromCharCode(0x20 + at))
    .filter((one) => one !== ',' && one !== '=' && one !== ' ')
    .join('')
    .replace('!', '! ');
}

const outcomeOf = ({ trace }: Row, at: number): Outcome => (typeof trace === 'string' ? trace : trace[at]!);

it('has the 41 cases of the suite', () => {
  expect(ROWS).toHaveLength(41);
});

describe('without an SDK: what came in is handed on as it came, and no trace begins', () => {
  it.each(ROWS)('$name', async (row) => {
    for (const [at, lines] of row.variants.entries()) {
      const sent = await exchange(lines, row.times);
      for (const { traceparent, traceId, spanId, state: members } of sent) {
        if (outcomeOf(row, at) === 'restarted') {
          expect({ traceparent, members: [...members] }).toEqual({ traceparent: [], members: [] });
          continue;
        }
        // Nobody here makes a span: whoever is called is a child of the one that called us.
        expect({ count: traceparent.length, traceId, spanId }).toEqual({ count: 1, traceId: TRACE, spanId: SPAN });
        expect(traceparent[0]).toBe(lines.find(([name]) => name.toLowerCase() === 'traceparent')![1].trim());
        if (row.tracestate !== undefined) expect([...members]).toEqual(row.tracestate[at]);
      }
    }
  });
});

describe('with an SDK: 41 cases, each with a new parent-id', () => {
  let sdk: KeptSpans;

  beforeAll(() => {
    sdk = startSdk();
  });

  afterAll(() => sdk[Symbol.asyncDispose]());

  it.each(ROWS)('$name', async (row) => {
    for (const [at, lines] of row.variants.entries()) {
      const sent = await exchange(lines, row.times);
      const given = lines.find(([name]) => name.toLowerCase() === 'traceparent')?.[1].trim() ?? '';
      for (const { traceparent, traceId, spanId, flags, state: members } of sent) {
        expect(traceparent).toHaveLength(1);
        expect(traceparent[0]).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/);
        expect(spanId).not.toBe(SPAN);
        expect(spanId).not.toMatch(/^0+$/);
        if (outcomeOf(row, at) === 'restarted') {
          expect(given).not.toContain(traceId);
          expect([...members]).toEqual([]);
          continue;
        }
        expect(traceId).toBe(TRACE);
        // The decision of whoever began it, and level 2's word that the id is random.
        expect(flags).toBe(`0${Number.parseInt(given.split('-')[3]!, 16) & 3}`);
        if (row.tracestate !== undefined) expect([...members]).toEqual(row.tracestate[at]);
      }
      expect(new Set(sent.map(({ spanId }) => spanId)).size).toBe(sent.length);
      expect(new Set(sent.map(({ traceId }) => traceId)).size).toBe(1);
    }
  });
});
