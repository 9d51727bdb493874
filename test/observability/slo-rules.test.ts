import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { declaredObjectives, parse } from '@inmesh/policy';
import { type SloFormat, sloRules } from '@inmesh/telemetry/slo-rules';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments, stringify } from 'yaml';
import { noPrometheus, promtool, REAL_PROMETHEUS } from '../support/prometheus.ts';

const REVIEWS = 'reviews.default.svc.cluster.local';

const objective = (name: string, spec: object): string =>
  JSON.stringify({ apiVersion: 'inmesh.dev/v1', kind: 'ServiceLevelObjective', metadata: { name, namespace: 'default' }, spec });

const service = (...ports: readonly string[]): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'reviews', namespace: 'default' },
    spec: { ports: ports.map((name, index) => ({ name, port: 9080 + index })) },
  });

const available = objective('available', { service: 'reviews', indicator: { availability: {} }, objective: 99.9 });
const latency = (threshold: string, more: object = {}): string =>
  objective('fast', { service: 'reviews', indicator: { latency: { threshold } }, objective: 95, ...more });

function rules(format: SloFormat, ...documents: readonly string[]): string {
  const parsed = parse([{ file: 'slo.yaml', text: documents.join('\n---\n') }]);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return sloRules(declaredObjectives(parsed.document), format);
}

describe('rules for other tools', () => {
  const documents = (text: string): unknown[] => parseAllDocuments(text).map((document) => document.toJS() as unknown);

  it('of Sloth are one specification for each service, with a remark where Sloth must be told the window', () => {
    const text = rules('sloth', available, latency('250ms', { window: '7d' }));
    expect(documents(text)).toMatchObject([
      {
        apiVersion: 'sloth.slok.dev/v1',
        kind: 'PrometheusServiceLevel',
        spec: {
          service: REVIEWS,
          slos: [
            { name: 'default-available', objective: 99.9 },
            { name: 'default-fast', objective: 95 },
          ],
        },
      },
    ]);
    expect(text).toContain(
      '# ServiceLevelObjective default/fast: fast is over 7d: sloth generate --default-slo-period=7d, with --slo-period-windows-path for its alerts\n',
    );
    expect(text.match(/^#/gm)).toHaveLength(1);
  });

  it('of Pyrra are one resource for each objective, or for each protocol, whose errors stand in labels of their own', () => {
    const named = (...more: readonly string[]) => (documents(rules('pyrra', ...more)) as { metadata: { name: string } }[]).map(({ metadata }) => metadata.name); // prettier-ignore
    expect(named(available, latency('250ms'), service('http'))).toEqual(['default-available', 'default-fast']);
    expect(named(available, service('http', 'grpc'))).toEqual(['default-available-http', 'default-available-grpc']);
    expect(named(available)).toEqual(['default-available-http', 'default-available-grpc']);
    expect(rules('pyrra', available, service('grpc'))).toContain('request_protocol="grpc",grpc_response_status=~"2|4|12|13|14|15"}');
  });

  it('judge a latency between two bounds of the histogram by the lower one, and say so', () => {
    for (const format of ['prometheus', 'sloth', 'pyrra'] as const) {
      expect(rules(format, latency('300ms'))).toContain('le="250"');
      expect(rules(format, latency('300ms'))).toMatch(/^ *# ServiceLevelObjective default\/fast: 300ms is no bound of Istio's histogram: calls within 250ms are good here$/m); // prettier-ignore
      expect(rules(format, latency('250ms'))).not.toMatch(/#/);
    }
  });
});

describe.skipIf(noPrometheus)(`rules for a real ${REAL_PROMETHEUS}`, () => {
  let folder: string;
  beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'inmesh-slo-'))));
  afterAll(() => rmSync(folder, { recursive: true }));

  const labels = `reporter="source",destination_service="${REVIEWS}"`;
  const calls = (more: string): string => `istio_requests_total{${labels},${more}}`;
  const OK = calls('response_code="200",response_flags="-"');

  /** Series by what they grow by a minute, for two hours; the alerts that fire in the end, by severity. */
  async function firing(
    objectives: readonly string[],
    series: Readonly<Record<string, number>>,
    alerts: readonly string[],
  ): Promise<string> {
    writeFileSync(join(folder, 'rules.yaml'), rules('prometheus', ...objectives));
    const name = objectives.join().includes('"fast"') ? 'fast' : 'available';
    const exp_labels = { sloth_id: `default-${name}`, sloth_service: REVIEWS, sloth_slo: name };
    const expected = alerts.map((sloth_severity) => ({
      exp_labels: { ...exp_labels, sloth_severity },
      exp_annotations: {
        title: `(${sloth_severity}) ${REVIEWS} ${name} burns its error budget too fast`,
        summary: name === 'fast' ? `95 % of the calls to ${REVIEWS} are answered within 250ms, over 30d` : `99.9 % of the calls to ${REVIEWS} are answered without an error of the server, over 30d`,
      },
    })); // prettier-ignore
    const test = {
      rule_files: ['rules.yaml'],
      evaluation_interval: '1m',
      tests: [
        {
          interval: '1m',
          input_series: Object.entries(series).map(([one, by]) => ({ series: one, values: `0+${by}x130` })),
          alert_rule_test: [{ eval_time: '2h', alertname: 'SLOErrorBudgetBurn', exp_alerts: expected }],
        },
      ],
    };
    writeFileSync(join(folder, 'test.yaml'), stringify(test, { lineWidth: 0 }));
    const { code, output } = await promtool(['test', 'rules', join(folder, 'test.yaml')]);
    return code === 0 ? 'as expected' : output;
  }

  it('are rules it takes, over whichever window', async () => {
    for (const window of ['1h', '90m', '1d', '3d', '7d', '30d', '90d']) {
      const file = join(folder, `${window}.yaml`);
      writeFileSync(file, rules('prometheus', available, latency('300ms', { window })));
      const { code, output } = await promtool(['check', 'rules', file]);
      expect([window, code, output]).toEqual([window, 0, expect.stringMatching(/SUCCESS: \d\d rules found/)]);
    }
  }, 60_000);

  it('wake nobody while the service keeps its promise, whatever its callers do wrong or give up', async () => {
    const harmless = {
      [OK]: 10_000,
      [calls('response_code="503",response_flags="UF"')]: 5,
      [calls('response_code="404",response_flags="-"')]: 1000,
      [calls('response_code="0",response_flags="DC"')]: 1000,
      [calls('response_code="0",response_flags="-",grpc_response_status="1"')]: 1000,
      [calls('response_code="200",response_flags="-",grpc_response_status="5"')]: 1000,
      // Servers do not see what never reaches them: it is the callers that are asked.
      [`istio_requests_total{reporter="destination",destination_service="${REVIEWS}",response_code="503"}`]: 5000,
    };
    expect(await firing([available], harmless, [])).toBe('as expected');
  }, 60_000);

  it('wake somebody when calls fail, of HTTP, of gRPC, without an answer, or all of them', async () => {
    for (const bad of [
      'response_code="503",response_flags="UF,URX"',
      'response_code="0",response_flags="UC"',
      'response_code="200",response_flags="-",grpc_response_status="14"',
    ]) {
      expect(await firing([available], { [OK]: 1000, [calls(bad)]: 20 }, ['page', 'ticket'])).toBe('as expected');
      expect(await firing([available], { [calls(bad)]: 20 }, ['page', 'ticket'])).toBe('as expected');
    }
  }, 60_000);

  it('file a ticket when they fail slowly', async () => {
    expect(await firing([available], { [OK]: 1000, [calls('response_code="503",response_flags="-"')]: 4 }, ['ticket'])).toBe('as expected');
  }, 60_000);

  it('judge latency by good answers in time', async () => {
    const histogram = (code: number, within: number, all: number) => ({
      [`istio_request_duration_milliseconds_bucket{${labels},response_code="${code}",le="250"}`]: within,
      [`istio_request_duration_milliseconds_bucket{${labels},response_code="${code}",le="+Inf"}`]: all,
      [`istio_request_duration_milliseconds_count{${labels},response_code="${code}"}`]: all,
    });
    const fast = latency('250ms');
    expect(await firing([fast], histogram(200, 970, 1000), [])).toBe('as expected');
    expect(await firing([fast], histogram(200, 500, 1000), ['page', 'ticket'])).toBe('as expected');
    // At once, but no answer.
    expect(await firing([fast], { ...histogram(200, 500, 500), ...histogram(503, 500, 500) }, ['page', 'ticket'])).toBe('as expected');
  }, 60_000);
});
