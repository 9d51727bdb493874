import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { noPrometheus, prometheus, promtool, REAL_PROMETHEUS } from '../support/prometheus.ts';
import { DASHBOARDS } from './dashboards.ts';

const FOLDER = join(DASHBOARDS, 'prometheus');
const read = (name: string): string => readFileSync(join(FOLDER, name), 'utf8');

/** Debian builds Prometheus without the discovery of platforms; what is made of what they say can be tried, from a file that says the same. */
const fromFiles = (config: string): string =>
  config
    .replace(/kubernetes_sd_configs:\n\s+- role: pod\n/, "file_sd_configs: [{ files: ['kubernetes.json'] }]\n")
    .replace(/consul_sd_configs:\n\s+- server: [\d.:]+\n/, "file_sd_configs: [{ files: ['consul.json'] }]\n")
    .replace("files: ['targets/*.yml']", "files: ['targets.json']");

describe.skipIf(noPrometheus)(`promtool of ${REAL_PROMETHEUS}`, () => {
  it('accepts the alerts, and they do what their tests say', async () => {
    expect(await promtool(['check', 'rules', '--lint=all', '--lint-fatal', join(FOLDER, 'alerts.yml')])).toMatchObject({ code: 0 });
    expect(await promtool(['test', 'rules', join(FOLDER, 'alerts.test.yml')])).toMatchObject({ code: 0 });
  });

  it('finds every alert tried, and each with what to do', () => {
    const alerts = [...read('alerts.yml').matchAll(/- alert: (\w+)([^]*?)(?=- alert:|- name:|$)/g)];
    expect(alerts.length).toBeGreaterThan(15);
    const untried = alerts.filter(([, name]) => !read('alerts.test.yml').includes(name!)).map(([, name]) => name);
    expect(untried).toEqual([]);
    for (const [, name, text] of alerts) {
      for (const said of ['severity:', 'summary:', 'description:', 'action:']) expect(text, `${name} has no ${said}`).toContain(said);
    }
  });

  it('accepts the scrape configuration', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'inmesh-scrape-'));
    try {
      writeFileSync(join(folder, 'alerts.yml'), read('alerts.yml'));
      for (const name of ['kubernetes.json', 'consul.json', 'targets.json']) writeFileSync(join(folder, name), '[]');
      writeFileSync(join(folder, 'scrape.yml'), fromFiles(read('scrape.yml')));
      const { code, output } = await promtool(['check', 'config', join(folder, 'scrape.yml')]);
      expect(output).not.toContain('FAILED');
      expect(code).toBe(0);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe.skipIf(noPrometheus)(`${REAL_PROMETHEUS} with the scrape configuration`, () => {
  it('finds admin ports of pods and of services, and only those that ask for it', async () => {
    const pod = (address: string, labels: object): object => ({ targets: [address], labels: { __meta_kubernetes_pod_phase: 'Running', __meta_kubernetes_namespace: 'shop', ...labels } }); // prettier-ignore
    const annotation = '__meta_kubernetes_pod_annotation_prometheus_io_';
    const asks = { [`${annotation}scrape`]: 'true', [`${annotation}port`]: '15020' };
    const service = (labels: object): object => ({ targets: ['10.2.0.9:8080'], labels: { __meta_consul_dc: 'dc1', ...labels } });
    await using server = await prometheus({
      config: fromFiles(read('scrape.yml')).replaceAll('127.0.0.1:1502', '127.0.0.1:1'),
      files: {
        'alerts.yml': read('alerts.yml'),
        'targets.json': JSON.stringify([{ targets: ['10.0.0.1:15020'] }]),
        'kubernetes.json': JSON.stringify([
          pod('10.1.0.1:8080', { ...asks, __meta_kubernetes_pod_ip: '10.1.0.1', __meta_kubernetes_pod_name: 'web-1' }),
          // A second port of the same pod.
          pod('10.1.0.1:9090', { ...asks, __meta_kubernetes_pod_ip: '10.1.0.1', __meta_kubernetes_pod_name: 'web-1' }),
          pod('10.1.0.2:8080', { ...asks, [`${annotation}path`]: '/stats', __meta_kubernetes_pod_ip: '10.1.0.2', __meta_kubernetes_pod_name: 'web-2' }), // prettier-ignore
          pod('10.1.0.3:8080', { __meta_kubernetes_pod_ip: '10.1.0.3', __meta_kubernetes_pod_name: 'not-asking' }),
          pod('10.1.0.4:8080', { ...asks, [`${annotation}port`]: '', __meta_kubernetes_pod_ip: '10.1.0.4', __meta_kubernetes_pod_name: 'no-port' }), // prettier-ignore
          pod('10.1.0.5:8080', { ...asks, __meta_kubernetes_pod_phase: 'Succeeded', __meta_kubernetes_pod_ip: '10.1.0.5', __meta_kubernetes_pod_name: 'over' }), // prettier-ignore
        ]),
        'consul.json': JSON.stringify([
          service({ __meta_consul_address: '10.2.0.1', __meta_consul_service_address: '10.2.0.9', __meta_consul_service: 'web', __meta_consul_service_metadata_admin_port: '15020' }), // prettier-ignore
          service({ __meta_consul_address: '10.2.0.2', __meta_consul_service_address: '', __meta_consul_service: 'node-address', __meta_consul_service_metadata_admin_port: '15021' }), // prettier-ignore
          service({ __meta_consul_address: '10.2.0.3', __meta_consul_service_address: '', __meta_consul_service: 'no-admin' }),
        ]),
      },
    });
    const found = async (): Promise<readonly string[]> =>
      (await server.targets()).map(({ labels, scrapeUrl }) => `${labels['job']} ${labels['pod'] ?? labels['service'] ?? ''} ${scrapeUrl}`).sort(); // prettier-ignore
    await expect
      .poll(found, { timeout: 10_000 })
      .toEqual([
        'inmesh-consul node-address http://10.2.0.2:15021/metrics',
        'inmesh-consul web http://10.2.0.9:15020/metrics',
        'inmesh-file  http://10.0.0.1:15020/metrics',
        'inmesh-kubernetes web-1 http://10.1.0.1:15020/metrics',
        'inmesh-kubernetes web-2 http://10.1.0.2:15020/stats',
        'inmesh-static  http://127.0.0.1:10/metrics',
        'inmesh-static  http://127.0.0.1:11/metrics',
      ]);
  });
});
