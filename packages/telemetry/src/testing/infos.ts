import type { InboundInfo, RouteInfo } from '@inmesh/core';
import { DEFAULT_TELEMETRY } from '@inmesh/policy';

/** A route to subset v2 of reviews. */
export const clientInfo: RouteInfo = {
  side: 'client',
  cluster: 'outbound|9080|v2|reviews.default.svc.cluster.local',
  service: 'reviews.default.svc.cluster.local',
  serviceName: 'reviews',
  serviceNamespace: 'default',
  route: 'to-v2',
  protocol: 'http',
  telemetry: DEFAULT_TELEMETRY.client,
};

/** Port 8080 of this process. */
export const serverInfo: InboundInfo = {
  side: 'server',
  cluster: 'inbound|8080||',
  port: 8080,
  service: 'web.shop.svc.cluster.local',
  serviceName: 'web',
  serviceNamespace: 'shop',
  route: 'default',
  telemetry: DEFAULT_TELEMETRY.server,
};
