import * as v from 'valibot';
import { list, optional, required } from '../../schema/fields.ts';
import { duration, oneOf, percentNumber, port, portSelector, uint32 } from '../../schema/scalars.ts';
import type { Partly, Path, Report } from '../kind.ts';
import { checkConnectionPool, connectionPool } from './connection-pool.ts';
import { checkLoadBalancer, loadBalancer } from './load-balancer.ts';
import { checkOutlierDetection, outlierDetection } from './outlier-detection.ts';
import { checkClientTls, clientTls } from './tls-settings.ts';

const blocks = {
  connectionPool: optional(connectionPool, 'Limits and times of connections.', { honoured: 'HGWT' }),
  loadBalancer: optional(loadBalancer, 'How an endpoint is chosen.', { default: 'LEAST_REQUEST', honoured: 'HGWT' }),
  outlierDetection: optional(outlierDetection, 'When a failing endpoint is left out. Without this block there is no detection.', {
    honoured: 'HGWT',
  }),
  tls: optional(clientTls, 'How connections are secured.', {
    default: 'mutual TLS where both ends have an identity, else plaintext',
    honoured: 'HGWT',
  }),
};

const portLevel = v.object({ port: optional(portSelector, 'Port of the service the settings are for.'), ...blocks });

/** Istio's TrafficPolicy. */
export const trafficPolicy = v.object({
  ...blocks,
  portLevelSettings: list(portLevel, 'Settings of single ports. They replace those above as a whole: what they leave out is the default.', {
    honoured: 'HGWT',
  }),
  tunnel: optional(
    v.object({
      protocol: optional(oneOf('CONNECT', 'POST'), 'Method of the tunnel.', { default: 'CONNECT' }),
      targetHost: required(v.string(), 'Host to tunnel to.'),
      targetPort: required(port, 'Port to tunnel to.'),
    }),
    'Wrap TCP connections in an HTTP tunnel.',
    { notHonoured: 'HTTP tunnels are not made yet' },
  ),
  proxyProtocol: optional(
    v.object({ version: optional(oneOf('V1', 'V2'), 'Version of the header.', { default: 'V1' }) }),
    'Begin connections with a PROXY header.',
    {
      notHonoured: 'PROXY headers are not sent yet',
    },
  ),
  retryBudget: optional(
    v.object({
      percent: optional(percentNumber, 'Retries at once as a share of active and pending calls.', { default: '20' }),
      minRetryConcurrency: optional(uint32, 'Retries at once that are always allowed.', { default: '3' }),
      budgetInterval: optional(duration, 'Calls that ended this long ago still count.', { default: '0s' }),
    }),
    'Bound of the retries in the cluster; replaces connectionPool.http.maxRetries.',
    { default: 'none', honoured: 'HG' },
  ),
});

export type TrafficPolicy = v.InferOutput<typeof trafficPolicy>;

const MOST_PORTS = 4096;

/** Istio's validateTrafficPolicy. `where` names the policy in messages. */
export function checkTrafficPolicy(policy: Partly<TrafficPolicy> | undefined, path: Path, report: Report): void {
  if (policy === undefined) return;
  const { portLevelSettings = [], tunnel, proxyProtocol } = policy;
  const held = [policy.connectionPool, policy.loadBalancer, policy.outlierDetection, policy.tls, tunnel, proxyProtocol, policy.retryBudget];
  if (held.every((block) => block === undefined) && portLevelSettings.length === 0)
    report.error(
      path,
      'the traffic policy is empty',
      'add loadBalancer, connectionPool, outlierDetection, tls, portLevelSettings, tunnel, proxyProtocol or retryBudget',
    );
  if (tunnel !== undefined && proxyProtocol !== undefined)
    report.conflict([...path, 'proxyProtocol'], 'tunnel excludes proxyProtocol', 'keep one of them');
  if (tunnel?.targetHost === '') report.error([...path, 'tunnel', 'targetHost'], 'the target host is empty', 'name the host');
  checkBlocks(policy, path, report);

  if (portLevelSettings.length > MOST_PORTS)
    report.error(
      [...path, 'portLevelSettings'],
      `${portLevelSettings.length} port level settings are more than ${MOST_PORTS}`,
      'leave some out',
    );
  const ports = new Set<number>();
  for (const [index, settings] of portLevelSettings.entries()) {
    if (settings === undefined) continue;
    const at = [...path, 'portLevelSettings', index];
    const number = settings.port?.number;
    if (settings.port === undefined) report.error([...at, 'port'], 'the port is missing', 'add port: { number: … }');
    if (number !== undefined && ports.size === ports.add(number).size)
      report.error([...at, 'port', 'number'], `port ${number} stands twice in portLevelSettings`, 'keep one entry');
    checkBlocks(settings, at, report);
  }
}

function checkBlocks(
  blocks: Partly<Pick<TrafficPolicy, 'connectionPool' | 'loadBalancer' | 'outlierDetection' | 'tls'>>,
  path: Path,
  report: Report,
): void {
  checkConnectionPool(blocks.connectionPool, [...path, 'connectionPool'], report);
  checkLoadBalancer(blocks.loadBalancer, [...path, 'loadBalancer'], report);
  checkOutlierDetection(blocks.outlierDetection, [...path, 'outlierDetection'], report);
  checkClientTls(blocks.tls, [...path, 'tls'], report);
}
