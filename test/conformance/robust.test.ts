import { ERRORS, explainPolicy, type Explanation, Mesh, MeshError, type Resolver } from '@inmesh/core';
import { fakeClock, seededRandom, testCall, testEndpoint } from '@inmesh/core/testing';
import { parse, resolve, type Workload, workload } from '@inmesh/policy';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Asked, asked, governed, mutated, resources, who } from './documents.ts';
import { run, short, WORLD } from './world.ts';

/** What always holds, whatever the document: it means something or its problems are listed, and explain tells the truth. */

const text = (given: readonly unknown[], world = ''): string =>
  [world, ...given.map((one) => JSON.stringify(one))].filter((part) => part !== '').join('\n---\n');

/** Only errors of the table may be thrown, and only for calls that cannot mean anything. */
function mustBeOurs(error: unknown): void {
  if (!MeshError.is(error) || !Object.hasOwn(ERRORS, error.code)) throw error;
}

async function uses(source: string, requests: readonly Asked[], from: Partial<Workload>): Promise<boolean> {
  const parsed = parse([{ file: 'f', text: source }]);
  const problems = parsed.ok ? parsed.document.problems : parsed.problems;
  for (const problem of problems)
    expect(problem).toMatchObject({ code: expect.stringMatching(/^(IST|INM)\d{4}$/), message: expect.stringMatching(/./) });
  if (!parsed.ok) {
    expect(problems.some(({ severity }) => severity === 'error')).toBe(true);
    return false;
  }
  expect(problems.filter(({ severity }) => severity === 'error')).toEqual([]);
  const model = resolve(parsed.document, workload(from));
  // Plain data: what travels as JSON comes back the same.
  expect(JSON.parse(JSON.stringify(model))).toEqual(model);
  const mesh = await Mesh.create(model, 'v', { clock: fakeClock(), random: seededRandom(1) });
  for (const request of requests) {
    try {
      expect(mesh.explain(request).decision).toBe(explainPolicy(model, request).decision);
    } catch (error) {
      mustBeOurs(error);
      throw new Error(`explain refused ${request.url}`, { cause: error });
    }
  }
  expect(mesh.status().snapshot.hosts.length).toBeGreaterThanOrEqual(0);
  await mesh.close(0);
  return true;
}

describe('any document parses, resolves, compiles and explains, or lists its problems', () => {
  it('of right values', async () => {
    let used = 0;
    await fc.assert(
      fc.asyncProperty(resources, fc.array(asked, { minLength: 1, maxLength: 4 }), who, async (given, requests, from) => {
        if (await uses(text(given, WORLD), requests, from)) used += 1;
      }),
      { numRuns: 200 },
    );
    // The rest of the tables is worth nothing if nearly all is refused.
    expect(used).toBeGreaterThan(80);
  });

  it('of broken values', async () => {
    await fc.assert(
      fc.asyncProperty(mutated, fc.array(asked, { minLength: 1, maxLength: 3 }), who, async (given, requests, from) => {
        await uses(text(given, WORLD), requests, from);
      }),
      { numRuns: 300 },
    );
  });

  it('of any text', async () => {
    const source = fc.oneof(
      fc.string({ maxLength: 200 }),
      fc.json(),
      fc
        .jsonValue()
        .map((spec) => JSON.stringify({ apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: { name: 'a' }, spec })),
      fc.tuple(mutated, fc.nat({ max: 400 }), fc.string({ maxLength: 3 })).map(([given, at, noise]) => {
        const whole = text(given);
        return whole.slice(0, at) + noise + whole.slice(at);
      }),
    );
    await fc.assert(
      fc.asyncProperty(source, asked, async (given, request) => {
        await uses(given, [request], {});
      }),
      { numRuns: 300 },
    );
  });

  it('an update that does not compile changes nothing', async () => {
    await fc.assert(
      fc.asyncProperty(resources, resources, asked, async (first, second, request) => {
        const [before, after] = [first, second].map((given) => parse([{ file: 'f', text: text(given, WORLD) }]));
        fc.pre(before?.ok === true && after?.ok === true);
        const mesh = await Mesh.create(resolve(before.document, workload()), '1', { clock: fakeClock(), random: seededRandom(1) });
        const model = resolve(after.document, workload());
        // A cluster of a service the model does not hold: no document makes it, a bug might.
        const broken = { ...model, services: [], clusters: model.clusters };
        const old = mesh.explain(request);
        if (model.clusters.length > 0) {
          expect(() => mesh.apply(broken, '2')).toThrow(/does not compile/);
          expect([mesh.status().version, mesh.status().rejected === null]).toEqual(['1', false]);
          expect(mesh.explain(request)).toEqual(old);
        }
        mesh.apply(model, '3');
        expect(mesh.explain(request).decision).toBe(explainPolicy(model, request).decision);
        await mesh.close(0);
      }),
      { numRuns: 60 },
    );
  });
});

/** Stands in for DNS: every name has one address. */
const names: Resolver = {
  name: 'names',
  handles: ({ service: { resolution } }) => resolution !== 'static',
  watch: (_, onChange) => {
    onChange({ state: 'bound', endpoints: [testEndpoint('10.8.0.1:80')] });
    return { close: () => {} };
  },
};

/** What a running mesh makes of a request if every draw is `draw`, in the words of an explanation. */
async function happens(source: string, request: Asked, from: Partial<Workload>, draw: number): Promise<string> {
  const { call, transport, mesh } = await run(source, (attempt) => attempt.reply(200), {
    who: from,
    random: () => draw,
    resolvers: [names],
  });
  const ended = await call({ ...request }, 600_000).catch((error: unknown) => {
    if (MeshError.is(error)) return undefined;
    throw error;
  });
  await mesh.close(0);
  if (ended === undefined) return 'thrown';
  const sent = transport.attempts.at(-1);
  if (sent !== undefined) {
    const { edits, call: original } = sent.exchange;
    return `sent ${short(sent.placement.policy.name)} ${edits.authority ?? original.authority} ${edits.path ?? original.path}`;
  }
  const location = ended.header('location');
  if (location !== undefined) return `redirected ${ended.status} ${location}`;
  const flags = ended.flags.split(',').filter((flag) => flag !== 'DI'); // a delay decides nothing
  return `answered ${ended.status} ${flags.join(',') || '-'}`;
}

/** The same from an explanation, for the draw that falls on the destination `at`. */
function expected(found: Explanation, at: number, missing: ReadonlyMap<string, number>): string {
  const abort = found.fault?.abort;
  if (abort != null && abort.percent === 100) return `answered ${abort.httpStatus ?? 200} FI`;
  switch (found.decision) {
    case 'redirect':
      return `redirected ${found.redirect?.status} ${found.redirect?.location}`;
    case 'directResponse':
      return `answered ${found.directResponse?.status} -`;
    case 'refuse':
    case 'route': {
      // Of several that all refuse, each does so in its own way.
      if (found.decision === 'refuse' && found.clusters.length <= 1) return `answered ${found.status} ${found.flag ?? '-'}`;
      const chosen = found.clusters[at]!;
      const status = missing.get(chosen.name);
      if (status !== undefined) return `answered ${status} ${status === 503 ? 'NC' : '-'}`;
      return `sent ${short(chosen.name)}`;
    }
  }
}

/** A document that answers by itself, for runs in which chance makes none. */
const local = (
  rule: object,
): [
  readonly object[],
  Asked,
  { namespace: string; labels: Record<string, string>; locality: { region: string; zone: string; subzone: string } },
] => [
  [{ apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: { name: 'v' }, spec: { hosts: ['reviews'], http: [rule] } }],
  { url: 'http://reviews/a', method: 'GET', headers: {} },
  { namespace: 'default', labels: {}, locality: { region: '', zone: '', subzone: '' } },
];

describe('explain tells what happens', () => {
  it('for every request, and every destination a draw can fall on', async () => {
    const seen = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(
        fc.oneof({ weight: 1, arbitrary: resources }, { weight: 3, arbitrary: governed }),
        asked,
        who,
        async (given, request, from) => {
          const source = text(given, WORLD);
          const parsed = parse([{ file: 'f', text: source }]);
          fc.pre(parsed.ok);
          const model = resolve(parsed.document, workload({ name: 'client', ...from }));
          const found = explainPolicy(model, request);
          const routes = model.hosts.flatMap(({ routes: list }) => list);
          const missing = new Map(
            routes.flatMap(({ action }) =>
              action.kind === 'forward'
                ? action.destinations.flatMap((one) => (one.missing === null ? [] : [[one.cluster, one.missing.status] as const]))
                : [],
            ),
          );
          seen.set(found.decision, (seen.get(found.decision) ?? 0) + 1);
          if (found.clusters[0]?.name === 'PassthroughCluster') {
            // The transport sends it as if there were no mesh.
            const mesh = await Mesh.create(model, 'v', { clock: fakeClock() });
            expect(mesh.find(testCall({ ...request })).kind).toBe('passthrough');
            return;
          }
          let passed = 0;
          for (const [at, { share, name, endpoints }] of (found.clusters.length > 0
            ? found.clusters
            : [{ share: 1, name: '', endpoints: [] }]
          ).entries()) {
            const happened = await happens(source, request, from, passed + share / 2);
            passed += share;
            const want = expected(found, at, missing);
            const policy = model.clusters.find((one) => one.name === name);
            if (
              want.startsWith('sent ') &&
              policy?.resolution === 'static' &&
              policy.loadBalancer.kind !== 'passthrough' &&
              endpoints.length === 0
            )
              expect(happened).toBe('answered 503 UH');
            // What a name resolves to is known only then; and of several destinations the decision is that of the largest.
            else if (
              happened === 'answered 503 UH' &&
              (policy?.resolution !== 'static' || (found.clusters.length > 1 && policy.locality.kind === 'distribute'))
            )
              continue;
            else if (want.startsWith('sent ')) {
              expect(`${happened} `).toContain(`${want} `);
              if (found.clusters.length === 1)
                expect(happened).toBe(`${want} ${found.request?.authority} ${found.request?.path.replace(/\?.*/, '')}`);
            } else expect(happened).toBe(want);
          }
        },
      ),
      { numRuns: 300, examples: [local({ redirect: { uri: '/b' } }), local({ directResponse: { status: 503 } })] },
    );
    // All kinds of decisions were met, else this proves little.
    expect([...seen.keys()].toSorted()).toEqual(['directResponse', 'redirect', 'refuse', 'route']);
  });
});
