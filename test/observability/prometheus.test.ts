import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { declaredObjectives, parse } from '@inmesh/policy';
import { sloRules } from '@inmesh/telemetry/slo-rules';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readExposition } from '../support/exposition.ts';
import { type Labels, noPrometheus, prometheus, promtool, REAL_PROMETHEUS, type Row, type TestPrometheus } from '../support/prometheus.ts';
import { choices, DASHBOARDS, dashboards, filledIn, selectorsOf } from './dashboards.ts';
import { noH2load, OBJECTIVES, openShop, ROUND, type Shop } from './shop.ts';
import { withoutData } from './waiting.ts';

/** What `inmesh slo export` makes of the objective that callers tell of. */
function exported(): string {
  const parsed = parse([{ file: 'slo.yaml', text: OBJECTIVES }]);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return sloRules(
    declaredObjectives(parsed.document).filter(({ name }) => name === 'reviews'),
    'prometheus',
  );
}

const ROUNDS = 8;
const WARM = 1;

describe.skipIf(noPrometheus || noH2load)(`${REAL_PROMETHEUS} scrapes the processes of a shop`, () => {
  let shop: Shop;
  let server: TestPrometheus;
  /** Seconds since 1970 between which visitors came. */
  let from: number;
  let to: number;

  beforeAll(async () => {
    shop = await openShop();
    // Every series is there before the first scrape, or its first increase would not be seen.
    for (let round = 0; round < WARM; round += 1) await shop.round();
    const targets = Object.values(shop.metrics).map((url) => new URL(url).host);
    server = await prometheus({
      config: JSON.stringify({
        global: { scrape_interval: '500ms', scrape_timeout: '500ms', evaluation_interval: '1s' },
        rule_files: ['alerts.yml', 'slo-rules.yml'],
        scrape_configs: [{ job_name: 'inmesh-shop', static_configs: [{ targets }] }],
      }),
      files: { 'alerts.yml': readFileSync(join(DASHBOARDS, 'prometheus/alerts.yml'), 'utf8'), 'slo-rules.yml': exported() },
    });
    await server.scraped();
    from = Date.now() / 1000;
    for (let round = 0; round < ROUNDS; round += 1) {
      await shop.round();
      if (round === 2) shop.steer(3);
      if (round === 5) shop.spoil();
      await pause(300);
    }
    await server.scraped();
    to = Date.now() / 1000;
  }, 120_000);

  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    await shop?.[Symbol.asyncDispose]();
  });

  /** Rows as `label label … value`, in order. */
  const rows = (found: readonly Row[], ...labels: readonly string[]): readonly string[] =>
    found.map(({ labels: of, value }) => [...labels.map((label) => of[label] ?? ''), String(value)].join(' ').trim()).sort();

  /** Whether a query came to anything while visitors came. */
  const answers = async (query: string): Promise<boolean> => {
    const curves = await server.queryRange(query, from + 1, to, 0.5);
    return curves.some(({ points }) => points.some(([, value]) => Number.isFinite(value)));
  };

  describe('and counts exactly', () => {
    const ALL = ROUNDS + WARM;
    const CODES: Labels = { '/ok': '200', '/missing': '404', '/broken': '500', '/flaky': '200', '/rated': '200', '/refused': '502', '/nowhere': '503' }; // prettier-ignore

    it('what visitors asked of the storefront, as h2load counted it', async () => {
      const byCode = new Map<string, number>();
      for (const [path, count] of Object.entries(ROUND)) byCode.set(CODES[path]!, (byCode.get(CODES[path]!) ?? 0) + count * ALL);
      const query = 'sum by (response_code) (istio_requests_total{reporter="destination",destination_workload="storefront-v1"})';
      expect(rows(await server.query(query), 'response_code')).toEqual([...byCode].map(([code, count]) => `${code} ${count}`).sort());
    });

    it('what servers answered, by their own count: every attempt', async () => {
      const expected: string[] = [];
      for (const workload of ['reviews-v1', 'reviews-v2', 'ratings-v1']) {
        const sums = new Map<string, number>();
        for (const [what, count] of Object.entries(await shop.answered(workload))) {
          const [asked, code] = what.split(' ');
          const told = asked === 'Say' ? `200 ${code}` : `${code} `;
          sums.set(told, (sums.get(told) ?? 0) + count);
        }
        for (const [told, count] of sums) expected.push(`${workload} ${told} ${count}`);
      }
      const labels = ['destination_workload', 'response_code', 'grpc_response_status'];
      const query = `sum by (${labels.join()}) (istio_requests_total{reporter="destination",destination_workload!~"storefront.*"})`;
      expect(rows(await server.query(query), ...labels)).toEqual(expected.sort());
      for (const count of ['istio_request_duration_milliseconds_count', 'istio_request_duration_milliseconds_bucket']) {
        const matchers = `reporter="destination",destination_workload!~"storefront.*"${count.endsWith('bucket') ? ',le="+Inf"' : ''}`;
        expect(rows(await server.query(`sum by (${labels.join()}) (${count}{${matchers}})`), ...labels)).toEqual(expected);
      }
    });

    it('what the client got: every call once, however often it was tried', async () => {
      const told = (path: string): number => ROUND[path]! * ALL;
      const labels = ['destination_service_name', 'response_code', 'grpc_response_status', 'response_flags'];
      expect(rows(await server.query(`sum by (${labels.join()}) (istio_requests_total{reporter="source"})`), ...labels)).toEqual(
        [
          `reviews 200  - ${told('/ok') + told('/flaky')}`,
          `reviews 404  - ${told('/missing')}`,
          `reviews 500  - ${told('/broken')}`,
          `ratings 200 0 - ${told('/rated')}`,
          `ratings 200 13 - ${told('/refused')}`,
          `nowhere 503  UH ${told('/nowhere')}`,
        ].sort(),
      );
      // Each flaky call failed once before.
      expect(await server.query('sum(inmesh_retries_total or envoy_cluster_upstream_rq_retry)')).toMatchObject([{ value: told('/flaky') }]);
    });

    it('the messages of gRPC on both sides: a call that failed has no answer', async () => {
      const messages = (what: string): Promise<readonly Row[]> => server.query(`sum by (reporter) (istio_${what}_messages_total)`);
      const sent = (ROUND['/rated']! + ROUND['/refused']!) * ALL;
      expect(rows(await messages('request'), 'reporter')).toEqual([`destination ${sent}`, `source ${sent}`]);
      const got = ROUND['/rated']! * ALL;
      expect(rows(await messages('response'), 'reporter')).toEqual([`destination ${got}`, `source ${got}`]);
    });

    it('what objectives are judged by: callers of reviews, and the storefront itself, which nobody in the mesh calls', async () => {
      const told = async (name: string): Promise<readonly string[]> => rows(await server.query(`sum by (slo, reporter) (inmesh_slo_${name}_total)`), 'slo', 'reporter'); // prettier-ignore
      const asked = (...paths: readonly string[]): number => paths.reduce((sum, path) => sum + ROUND[path]! * ALL, 0);
      const [ok, flaky] = [asked('/ok', '/missing', '/flaky'), ROUND['/flaky']! * ALL];
      const good = asked('/ok', '/missing', '/flaky', '/rated');
      expect(await told('events')).toEqual([
        // Servers see every attempt.
        `shop/reviews destination ${ok + asked('/broken') + flaky}`,
        `shop/reviews source ${ok + asked('/broken')}`,
        `shop/storefront destination ${asked(...Object.keys(ROUND))}`,
      ]);
      expect(await told('good')).toEqual([
        `shop/reviews destination ${ok}`,
        `shop/reviews source ${ok}`,
        `shop/storefront destination ${good}`,
      ]);
    });

    it('one process of each workload, all of the second policy, none of the one that cannot be obeyed', async () => {
      const instances = Object.keys(shop.metrics).length;
      expect(await server.query('count(inmesh_policy_info)')).toMatchObject([{ value: instances }]);
      expect(await server.query('count(count by (version) (inmesh_policy_info))')).toMatchObject([{ value: 1 }]);
      expect(await server.query('sum(inmesh_policy_applied_total)')).toMatchObject([{ value: 2 * instances }]);
      expect(await server.query('sum(inmesh_policy_rejected_total)')).toMatchObject([{ value: instances }]);
      expect(await server.query('sum(inmesh_policy_source_up)')).toMatchObject([{ value: instances }]);
      expect(await server.query('sum(istio_build{component="proxy"})')).toMatchObject([{ value: instances }]);
    });
  });

  it('promtool has nothing against what is told but names that are Istio’s, Envoy’s and prom-client’s', async () => {
    const known = [
      /^istio_\w+_milliseconds use base unit "seconds"/,
      /^envoy_\w+ (use base unit|(counter|non-counter) metrics should|metric names should not contain abbreviated units)/,
      /^nodejs_active_\w+_total non-counter metrics should/,
    ];
    for (const url of Object.values(shop.metrics)) {
      const { body } = await request(url);
      const text = await body.text();
      expect(() => readExposition(text)).not.toThrow();
      const { output } = await promtool(['check', 'metrics'], text);
      expect(output).toContain('istio_request_duration_milliseconds use base unit "seconds"');
      expect(output.split('\n').filter((line) => line !== '' && !known.some((one) => one.test(line)))).toEqual([]);
    }
  });

  it('finds every metric of Istio’s and of our own explained in docs/metrics.md', async () => {
    const docs = readFileSync(join(DASHBOARDS, '../docs/metrics.md'), 'utf8');
    const names = await server.labelValues('__name__');
    const families = names.map((name) => name.replace(/_(bucket|sum|count)$/, '')).filter((name) => /^(istio|inmesh)_/.test(name));
    expect(families.length).toBeGreaterThan(15);
    expect(families.filter((name) => !docs.includes(`\`${name}\``))).toEqual([]);
  });

  describe('for our dashboards', () => {
    it.each(dashboards.map((one) => [one.file, one] as const))('%s shows something in every panel', async (_, dashboard) => {
      const possible = await choices(dashboard, server);
      expect(possible.length).toBeGreaterThan(0);
      const empty: string[] = [];
      for (const { panel, expr } of dashboard.queries) {
        let found = false;
        for (const chosen of possible) {
          const query = filledIn(expr, chosen, '5s');
          // Also where there is no data the expression must be one.
          if (withoutData(expr) !== undefined) {
            await server.query(query);
            found = true;
          } else found = await answers(query);
          if (found) break;
        }
        if (!found) empty.push(`${panel}: ${expr}`);
      }
      expect(empty).toEqual([]);
    });
  });

  it('raises an alert: a policy was refused', async () => {
    await expect.poll(() => server.query('ALERTS{alertname="InmeshPolicyRejected",alertstate="firing"}'), { timeout: 10_000 }).toMatchObject([{ labels: { job: 'inmesh-shop', severity: 'ticket' } }]); // prettier-ignore
  });

  describe('for objectives', () => {
    const broken = ROUND['/broken']! / (ROUND['/ok']! + ROUND['/missing']! + ROUND['/broken']! + ROUND['/flaky']!);
    const bad = (ROUND['/broken']! + ROUND['/refused']! + ROUND['/nowhere']!) / Object.values(ROUND).reduce((sum, count) => sum + count);

    it('raises alerts: both are missed by far, as the whole mesh sees it', async () => {
      const firing = async (): Promise<readonly string[]> => rows(await server.query('ALERTS{alertname=~"InmeshObjective.*",alertstate="firing"}'), 'alertname', 'slo', 'severity'); // prettier-ignore
      await expect.poll(firing, { timeout: 10_000 }).toEqual(['reviews', 'storefront'].flatMap((name) => [`shop/${name} page`, `shop/${name} ticket`]).map((row) => `InmeshObjectiveBurns${row.endsWith('page') ? 'Fast' : ''} ${row} 1`).sort()); // prettier-ignore
      for (const window of ['5m', '1h', '3d']) {
        await comesTo(`slo_service:inmesh_slo_bad:ratio_rate${window}{slo="shop/reviews"}`, broken);
        await comesTo(`slo_service:inmesh_slo_bad:ratio_rate${window}{slo="shop/storefront"}`, bad);
      }
    });

    it('takes the rules that `inmesh slo export` writes, which record and wake somebody', async () => {
      const mine = '{sloth_slo="reviews"}';
      await expect.poll(() => server.query(`ALERTS${mine}`), { timeout: 10_000 }).toHaveLength(2);
      for (const window of ['5m', '30m', '1h', '2h', '6h', '1d', '3d']) await comesTo(`slo:sli_error:ratio_rate${window}${mine}`, broken);
      await comesTo(`slo:current_burn_rate:ratio${mine} / 100`, broken);
      // A mean of what was recorded, while the first calls came, too.
      await comesTo(`slo:sli_error:ratio_rate30d${mine}`, broken, 1);
      await comesTo(`(1 - slo:period_error_budget_remaining:ratio${mine}) / 100`, broken, 1);
    });

    /** Rules are evaluated once a second, and what they know of is what was scraped before. */
    const comesTo = (query: string, value: number, digits = 4): Promise<void> =>
      expect.poll(async () => (await server.query(query))[0]?.value, { timeout: 10_000, message: query }).toBeCloseTo(value, digits);
  });

  it('for our rules, which all evaluate, and whose every selector finds series', async () => {
    const rules = await server.rules();
    expect(rules.length).toBeGreaterThan(15);
    expect(rules.filter(({ health }) => health !== 'ok')).toEqual([]);
    const empty: string[] = [];
    for (const { name, query } of rules) {
      for (const selector of selectorsOf(query)) {
        if (withoutData(selector) === undefined && (await server.query(`count(${selector})`)).length === 0)
          empty.push(`${name}: ${selector}`);
      }
    }
    expect(empty).toEqual([]);
  });

  // manifests/addons/dashboards of Istio 1.2x; `$` filled in as Grafana does.
  describe('for the dashboards of Istio', () => {
    const service = 'reviews.shop.svc.cluster.local';
    /** Panels ask for calls under mutual TLS and for others apart; whether a client can tell is up to its reporter. */
    const both = (query: (matcher: string) => string): string =>
      ['=', '!='].map((operator) => query(`connection_security_policy${operator}"mutual_tls"`)).join(' or ');
    const incoming = (mtls: string, reporter: string): string =>
      `round(sum(irate(istio_requests_total{${mtls},destination_service=~"${service}",reporter=~"${reporter}",source_workload=~".*",source_workload_namespace=~".*"}[5m])) by (source_workload, source_workload_namespace, response_code), 0.001)`;

    it.each<[panel: string, query: string]>([
      ['mesh: traffic volume', 'round(sum(rate(istio_requests_total{reporter=~"source|waypoint"}[5s])), 0.01)'],
      ['mesh: success rate', 'sum(rate(istio_requests_total{reporter=~"source|waypoint",response_code!~"5.."}[5s])) / sum(rate(istio_requests_total{reporter=~"source|waypoint"}[5s]))'],
      ['mesh: 4xxs', 'round(sum(rate(istio_requests_total{reporter=~"source|waypoint",response_code=~"4.."}[5s])), 0.01)'],
      ['mesh: 5xxs', 'round(sum(rate(istio_requests_total{reporter=~"source|waypoint",response_code=~"5.."}[5s])), 0.01)'],
      ['mesh: HTTP/gRPC workloads', 'label_join(sum by (destination_workload,destination_workload_namespace,destination_service) (rate(istio_requests_total{reporter=~"source|waypoint"}[5s])), "destination_workload_var", ".", "destination_workload", "destination_workload_namespace")'],
      ['mesh: HTTP/gRPC workloads, p99', 'label_join(histogram_quantile(0.99, sum(rate(istio_request_duration_milliseconds_bucket{reporter=~"source|waypoint"}[5s])) by (le, destination_workload, destination_workload_namespace)), "destination_workload_var", ".", "destination_workload", "destination_workload_namespace")'],
      ['mesh: component versions', 'sum(istio_build) by (component, tag)'],
      ['service: client request volume', `round(sum(irate(istio_requests_total{reporter=~"source|waypoint",destination_service=~"${service}"}[5m])), 0.001)`],
      ['service: server request volume', `round(sum(irate(istio_requests_total{reporter="destination",destination_service=~"${service}"}[5m])), 0.001)`],
      ['service: server success rate', `sum(irate(istio_requests_total{reporter="destination",destination_service=~"${service}",response_code!~"5.*"}[5m])) / sum(irate(istio_requests_total{reporter="destination",destination_service=~"${service}"}[5m]))`],
      ['service: client request duration', `(histogram_quantile(0.50, sum(irate(istio_request_duration_milliseconds_bucket{reporter=~"source|waypoint",destination_service=~"${service}"}[1m])) by (le)) / 1000) or histogram_quantile(0.50, sum(irate(istio_request_duration_seconds_bucket{reporter=~"source|waypoint",destination_service=~"${service}"}[1m])) by (le))`],
      ['service: incoming by source, mutual TLS, told by the server', incoming('connection_security_policy="mutual_tls"', 'destination')],
      ['service: incoming by source, told by the client', both((mtls) => incoming(mtls, 'source'))],
      ['workload: incoming volume', 'round(sum(irate(istio_requests_total{reporter=~"destination",destination_workload_namespace=~"shop",destination_workload=~"reviews-v1"}[5m])), 0.001)'],
      ['workload: outgoing by destination', both((mtls) => `round(sum(irate(istio_requests_total{destination_principal=~"spiffe.*",${mtls},reporter="source",source_workload=~"storefront-v1",source_workload_namespace=~"shop",destination_service=~".*"}[5m])) by (destination_service, response_code), 0.001)`)],
    ])('%s', async (_, query) => expect(await answers(query)).toBe(true)); // prettier-ignore

    it('the table of workloads has a row for each, and one for calls that reached nobody', async () => {
      const found = await server.query(
        'label_join(sum by (destination_workload,destination_workload_namespace,destination_service) (rate(istio_requests_total{reporter=~"source|waypoint"}[1m])), "destination_workload_var", ".", "destination_workload", "destination_workload_namespace")',
        to,
      );
      expect(found.map(({ labels }) => `${labels['destination_workload_var']} ${labels['destination_service']}`).sort()).toEqual([
        'ratings-v1.shop ratings.shop.svc.cluster.local',
        'reviews-v1.shop reviews.shop.svc.cluster.local',
        'reviews-v2.shop reviews.shop.svc.cluster.local',
        'unknown.unknown nowhere.shop.svc.cluster.local',
      ]);
    });

    it('the list of services has their full names, of both reporters', async () => {
      const name = (app: string): string => `${app}.shop.svc.cluster.local`;
      const told = (reporter: string): Promise<readonly string[]> =>
        server.labelValues('destination_service', `istio_requests_total{reporter="${reporter}"}`);
      expect(await told('source')).toEqual(['nowhere', 'ratings', 'reviews'].map(name));
      expect(await told('destination')).toEqual(['ratings', 'reviews', 'storefront'].map(name));
    });
  });

  // graph/telemetry/istio/istio.go of Kiali.
  describe('for Kiali', () => {
    const NEEDED = ['source_workload_namespace', 'source_workload', 'source_canonical_service', 'source_canonical_revision', 'destination_service_namespace', 'destination_service', 'destination_service_name', 'destination_workload_namespace', 'destination_workload', 'destination_canonical_service', 'destination_canonical_revision', 'request_protocol', 'response_code', 'response_flags']; // prettier-ignore
    const GROUP_BY = ['source_cluster', 'destination_cluster', 'grpc_response_status', ...NEEDED].join();
    const graph = (matchers: string): Promise<readonly Row[]> =>
      server.query(`sum(rate(istio_requests_total{${matchers}}[60s])) by (${GROUP_BY}) > 0`, to);

    /** Why Kiali would leave a row out of its graph; '' if it would not. */
    const dropped = (labels: Labels): string => {
      const lacks = NEEDED.filter((label) => (labels[label] ?? '') === '');
      if (lacks.length > 0) return `lacks ${lacks.join()}`;
      const known = (label: string): boolean => labels[label] !== 'unknown';
      if (known('source_workload_namespace') && !known('source_workload') && !known('source_canonical_service'))
        return 'source without a name';
      if (known('source_workload_namespace') && labels['source_cluster'] === 'unknown') return 'source without a cluster';
      if (known('destination_service_namespace') && labels['destination_cluster'] === 'unknown') return 'destination without a cluster';
      return '';
    };

    it('no row that clients tell is left out of the graph', async () => {
      const found = await graph('reporter=~"source|waypoint",source_workload_namespace="shop"');
      // 200, 404, 500 of two reviews, two statuses of ratings, and nowhere.
      expect(found).toHaveLength(9);
      expect(found.map(({ labels }) => dropped(labels))).toEqual(found.map(() => ''));
    });

    it('traffic from outside the mesh comes from “unknown”, told by servers', async () => {
      const found = await graph('reporter=~"destination|waypoint",source_workload="unknown",destination_workload_namespace="shop",destination_workload="storefront-v1"'); // prettier-ignore
      expect(found.map(({ labels }) => `${labels['destination_service']} ${labels['response_code']}`).sort()).toEqual(
        ['200', '404', '500', '502', '503'].map((code) => `storefront.shop.svc.cluster.local ${code}`),
      );
      expect(found.map(({ labels }) => dropped(labels))).toEqual(found.map(() => ''));
    });

    it('no row that servers tell is left out of the graph', async () => {
      const found = await graph('reporter=~"destination|waypoint",destination_service_namespace="shop"');
      expect(found.length).toBeGreaterThan(10);
      expect(found.map(({ labels }) => dropped(labels))).toEqual(found.map(() => ''));
    });

    it('calls that reach no server are found among those without service workloads', async () => {
      const found = await graph('reporter="source",source_workload_namespace="shop",destination_workload_namespace="unknown",destination_workload="unknown",destination_service=~"^.+\\\\.shop\\\\..+$"'); // prettier-ignore
      expect(found.map(({ labels }) => [labels['destination_service_name'], labels['response_code'], labels['response_flags']])).toEqual([['nowhere', '503', 'UH']]); // prettier-ignore
    });

    it('mutual TLS is told by servers, with who called', async () => {
      const found = await server.query(
        'sum(rate(istio_requests_total{reporter=~"destination|waypoint",destination_service_namespace="shop",connection_security_policy="mutual_tls"}[60s])) by (source_principal,destination_principal,destination_service_name) > 0',
        to,
      );
      const account = (name: string): string => `spiffe://cluster.local/ns/shop/sa/${name}`;
      expect(found.map(({ labels }) => `${labels['source_principal']} ${labels['destination_principal']}`).sort()).toEqual([
        `${account('storefront')} ${account('ratings')}`,
        `${account('storefront')} ${account('reviews')}`,
      ]);
    });

    it('response times have the same edges', async () => {
      const edges = GROUP_BY.split(',').filter((label) => !/^(response|grpc|request)_/.test(label)).join(); // prettier-ignore
      const matchers = 'reporter="source",source_workload_namespace="shop",response_code=~"2.*"';
      const p95 = await server.query(`histogram_quantile(0.95, sum(rate(istio_request_duration_milliseconds_bucket{${matchers}}[60s])) by (le,${edges})) > 0`, to); // prettier-ignore
      const mean = await server.query(`sum(rate(istio_request_duration_milliseconds_sum{${matchers}}[60s])) by (${edges}) / sum(rate(istio_request_duration_milliseconds_count{${matchers}}[60s])) by (${edges}) > 0`, to); // prettier-ignore
      const names = (found: readonly Row[]): readonly string[] => found.map(({ labels }) => labels['destination_workload']!).sort();
      expect(names(p95)).toEqual(['ratings-v1', 'reviews-v1', 'reviews-v2']);
      expect(names(mean)).toEqual(names(p95));
    });
  });

  describe('for what steers a release', () => {
    /** What servers answered from the first scrape on: all but the warming round, which was a ninth of the same. */
    const share = async (workload: string, good: (code: number) => boolean): Promise<number> => {
      let all = 0;
      let fine = 0;
      for (const [what, count] of Object.entries(await shop.answered(workload))) {
        all += count;
        if (good(Number(what.split(' ')[1]))) fine += count;
      }
      return fine / all;
    };

    // pkg/metrics/observers/istio.go of Flagger.
    it.each(['reviews-v1', 'reviews-v2'])('Flagger sees the success rate of %s', async (target) => {
      const matchers = `reporter="destination",destination_workload_namespace="shop",destination_workload=~"${target}"`;
      const [found] = await server.query(`sum(rate(istio_requests_total{${matchers},response_code!~"5.*"}[1m])) / sum(rate(istio_requests_total{${matchers}}[1m])) * 100`, to); // prettier-ignore
      expect(found!.value).toBeCloseTo(100 * (await share(target, (code) => code < 500)), 4);
    });

    it('Flagger sees the duration of requests', async () => {
      const [found] = await server.query('histogram_quantile(0.99, sum(rate(istio_request_duration_milliseconds_bucket{reporter="destination",destination_workload_namespace="shop",destination_workload=~"reviews-v1"}[1m])) by (le))', to); // prettier-ignore
      expect(found!.value).toBeGreaterThan(0);
      expect(found!.value).toBeLessThan(1000);
    });

    it('Flagger and Argo see nothing, and not a zero, of a workload without traffic', async () => {
      const matchers = 'reporter="destination",destination_workload_namespace="shop",destination_workload=~"reviews-v3"';
      expect(await server.query(`sum(rate(istio_requests_total{${matchers},response_code!~"5.*"}[1m])) / sum(rate(istio_requests_total{${matchers}}[1m])) * 100`, to)).toEqual([]); // prettier-ignore
    });

    // docs/features/traffic-management/istio.md and analysis.md of Argo Rollouts.
    it('Argo Rollouts sees the success rate of a service, told by its clients', async () => {
      const matchers = 'reporter="source",destination_service=~"reviews.shop.svc.cluster.local"';
      const query = (rate: string): string =>
        `sum(${rate}(istio_requests_total{${matchers},response_code!~"5.*"}[5m])) / sum(${rate}(istio_requests_total{${matchers}}[5m]))`;
      const calls = ROUND['/ok']! + ROUND['/missing']! + ROUND['/broken']! + ROUND['/flaky']!;
      const [found] = await server.query(query('rate'), to);
      expect(found!.value).toBeCloseTo(1 - ROUND['/broken']! / calls, 4);
      // As it is documented: of the last two scrapes only, so it means something while there is traffic.
      expect(await answers(query('irate'))).toBe(true);
    });
  });
});
