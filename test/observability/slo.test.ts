import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { destinationRule, meshOf, serviceEntry, type TestMesh, virtualService } from '../support/mesh.ts';
import { type Upstream, upstream } from '../support/upstream.ts';

const HOST = 'reviews.example.com';
const REVIEWS = `http://${HOST}/`;
const RULE = 'ServiceLevelObjective default/reviews';

/** Over an hour: the only alert is one over five minutes and that hour. */
const objective = (enforcement: object | null): string =>
  `---\n${JSON.stringify({
    apiVersion: 'inmesh.dev/v1',
    kind: 'ServiceLevelObjective',
    metadata: { name: 'reviews', namespace: 'default' },
    spec: { service: HOST, indicator: { availability: {} }, objective: 99, window: '1h', ...(enforcement === null ? {} : { enforcement }) },
  })}\n`;

describe('an objective whose budget burns', () => {
  let [v1, v2] = [undefined as unknown as Upstream, undefined as unknown as Upstream];
  let mesh: TestMesh;
  let failing = false;

  /** Both versions fail at will; calls are retried on 503, and split as given. */
  const policy = (weights: readonly [number, number], enforcement: object | null = { actions: ['tightenRetries', 'freezeWeights'] }): string =>
    serviceEntry(HOST, [{ port: v1.port, labels: { version: 'v1' } }, { port: v2.port, labels: { version: 'v2' } }]) +
    destinationRule(HOST, 'subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }]') +
    virtualService(HOST, `- name: split
      route:
      - { destination: { host: ${HOST}, subset: v1 }, weight: ${weights[0]} }
      - { destination: { host: ${HOST}, subset: v2 }, weight: ${weights[1]} }
      retries: { attempts: 2, retryOn: '503', backoff: 1ms }
    `) +
    objective(enforcement); // prettier-ignore

  beforeEach(async () => {
    // Hours pass while no call is under way; sockets and timers are real.
    vi.useFakeTimers({ toFake: ['performance'] });
    failing = false;
    [v1, v2] = await Promise.all([0, 1].map(() => upstream((_, response) => void response.writeHead(failing ? 503 : 200).end()))) as [Upstream, Upstream]; // prettier-ignore
    mesh = await meshOf(policy([90, 10]), { admin: 0 });
  });

  afterEach(async () => {
    await mesh[Symbol.asyncDispose]();
    await Promise.all([v1, v2].map((each) => each[Symbol.asyncDispose]()));
    vi.useRealTimers();
  });

  /** Attempts the servers saw for some calls, and which of them. */
  async function calls(many: number): Promise<{ attempts: number; toV2: number }> {
    const before = [v1.seen.length, v2.seen.length] as const;
    for (let call = 0; call < many; call += 1) await (await mesh.fetch(REVIEWS)).text();
    const seen = [v1.seen.length - before[0], v2.seen.length - before[1]] as const;
    return { attempts: seen[0] + seen[1], toV2: seen[1] };
  }
  const [state, explained] = [() => mesh.status().objectives[0]!.state, () => mesh.explain({ method: 'GET', url: REVIEWS })];
  const shares = (): readonly number[] => explained().clusters.map(({ share }) => Math.round(share * 100));
  /** Minutes, in each of which somebody looks, as a scrape or the mesh's own timer does. */
  const pass = (minutes: number): void => {
    for (let minute = 0; minute < minutes; minute += 1) {
      vi.advanceTimersByTime(60_000);
      state();
    }
  };
  const burn = async (): Promise<void> => {
    failing = true;
    await calls(6);
    expect(state()).toBe('page');
  };

  it('stops retries, and they return when it is over', async () => {
    failing = true;
    expect((await calls(4)).attempts).toBe(12);
    await burn();
    expect(mesh.status().objectives).toMatchObject([{ resource: RULE, service: HOST, reporter: 'source', state: 'page', enforcing: ['tightenRetries', 'freezeWeights'] }]); // prettier-ignore
    expect((await calls(4)).attempts).toBe(4);
    expect(explained().retries).toBeNull();
    expect(explained().why).toContain(`${RULE} burns its budget: calls to ${HOST} are not sent again`);

    failing = false;
    // The window of five minutes has been quiet for three, but it is held for five.
    pass(8);
    expect(state()).toBe('page');
    pass(3);
    expect(state()).toBe('ok');
    expect(explained().retries).toMatchObject({ attempts: 2 });
    expect(explained().why.join()).not.toContain(RULE);
    failing = true;
    expect((await calls(1)).attempts).toBe(3);
    expect(mesh.events.filter(({ type }) => type.startsWith('slo.'))).toEqual([
      { type: 'slo.burning', slo: 'default/reviews', service: HOST, reporter: 'source', severity: 'page' },
      { type: 'slo.recovered', slo: 'default/reviews', service: HOST, reporter: 'source' },
    ]);
  });

  it('freezes splits whatever newer documents say, whose weights hold when it is over', async () => {
    await burn();
    const { version } = mesh.status();
    mesh.set(policy([1, 99]));
    await vi.waitFor(() => expect(mesh.status().version).not.toBe(version));
    expect(shares()).toEqual([90, 10]);
    expect(explained().why).toContain(
      `${RULE} burns its budget: the weights stay as they were when that began (10 to outbound|80|v2|${HOST}, 90 to outbound|80|v1|${HOST}), the document says 1 to outbound|80|v1|${HOST}, 99 to outbound|80|v2|${HOST}`,
    );
    // A rule for other calls is another split; the one that was is known again when it comes back.
    mesh.set(policy([50, 50]).replace('- name: split', '- name: split\n    match: [{ uri: { exact: / } }]'));
    await vi.waitFor(() => expect(shares()).toEqual([50, 50]));
    mesh.set(policy([1, 99]));
    await vi.waitFor(() => expect(shares()).toEqual([90, 10]));
    failing = false;
    expect((await calls(60)).toV2).toBeLessThan(30);
    pass(12);
    expect(shares()).toEqual([1, 99]);
    expect((await calls(60)).toV2).toBeGreaterThan(30);
  });

  it('changes nothing about the document: its version, when it came, and how often', async () => {
    const { version, appliedAt } = mesh.status();
    const applied = () => mesh.events.filter(({ type }) => type === 'policy.applied').length;
    const before = applied();
    await burn();
    expect(explained().retries).toBeNull();
    expect(mesh.status()).toMatchObject({ version, appliedAt });
    expect(applied()).toBe(before);
  });

  it('is let alone by a document without enforcement at once, and by one without the objective', async () => {
    await burn();
    mesh.set(policy([50, 50], null));
    await vi.waitFor(() => expect(shares()).toEqual([50, 50]));
    expect(explained().retries).toMatchObject({ attempts: 2 });
    expect(state()).toBe('page');
    // Still burning, what was asked for again begins at once: with the weights there are now.
    mesh.set(policy([20, 80]));
    await vi.waitFor(() => expect(explained().retries).toBeNull());
    expect(shares()).toEqual([20, 80]);
    mesh.set(
      policy([30, 70])
        .split('---\napiVersion')
        .join('---\napiVersion')
        .replace(/---\n\{"apiVersion":"inmesh.*/, ''),
    );
    await vi.waitFor(() => expect(shares()).toEqual([30, 70]));
    expect(mesh.status().objectives).toEqual([]);
  });

  it('is in the metrics, and on the admin port', async () => {
    await burn();
    const lines = mesh
      .metrics()
      .split('\n')
      .filter((line) => line.startsWith('inmesh_slo_'));
    expect(lines).toContain(`inmesh_slo_burn_rate{slo="default/reviews",service="${HOST}",reporter="source",window="5m"} 100`);
    const page = await fetch(new URL('/slo', mesh.adminUrl));
    expect(await page.json()).toMatchObject([{ resource: RULE, reporter: 'source', total: 6, bad: 6, state: 'page' }]);
    expect(lines).toContain(`inmesh_slo_events_total{slo="default/reviews",service="${HOST}",reporter="source"} 6`);
  });
});

it('a server counts how it keeps its own promises', async () => {
  const mesh = await meshOf(
    `apiVersion: v1
kind: Service
metadata: { name: reviews, namespace: default }
spec: { selector: { app: reviews }, ports: [{ name: http, port: 80, targetPort: 0 }] }
`.replace('targetPort: 0', 'targetPort: 18080') + objective(null).replace(HOST, 'reviews'),
    { workload: { name: 'reviews', labels: { app: 'reviews' } } },
  );
  try {
    const { port } = await mesh.listen((request, response) => void response.writeHead(request.url === '/bad' ? 500 : 200).end(), { port: 18_080, host: '127.0.0.1' }); // prettier-ignore
    for (const path of ['/', '/', '/bad']) await (await fetch(`http://127.0.0.1:${port}${path}`)).text();
    await vi.waitFor(() => expect(mesh.status().objectives).toMatchObject([{ reporter: 'destination', total: 3, bad: 1, state: 'ok' }]));
  } finally {
    await mesh.close({ graceMs: 0 });
  }
});
