import type { ServiceRef } from '@inmesh/core';
import { CONSUL_SERVICE_ANNOTATION } from '@inmesh/policy';

/** A service as Consul knows it. */
export interface ConsulName {
  readonly service: string;
  /** '' for that of the connection. */
  readonly datacenter: string;
}

export interface NamesOptions {
  /** Suffix of Consul's own names. Default `consul`. */
  readonly domain?: string;
  /** The name in Consul of a service of the mesh; undefined: what its annotation or its host says. */
  readonly serviceOf?: (ref: ServiceRef) => string | undefined;
}

/**
 * What a service of the mesh is called in Consul: what `serviceOf` or the annotation `inmesh.dev/consul-service` says, else the host where
 * it is one of Consul's (`NAME.service.consul`, `NAME.service.DATACENTER.consul`). undefined: Consul does not know it.
 */
export function consulName(ref: ServiceRef, { domain = 'consul', serviceOf }: NamesOptions): ConsulName | undefined {
  const { host, annotations } = ref.service;
  const { service: ofHost, datacenter = '' } = ownName(host, domain);
  const service = serviceOf?.(ref) ?? annotations[CONSUL_SERVICE_ANNOTATION] ?? ofHost;
  return service === undefined || service === '' ? undefined : { service, datacenter };
}

function ownName(host: string, domain: string): { readonly service?: string; readonly datacenter?: string } {
  if (!host.endsWith(`.${domain}`)) return {};
  const [service, word, datacenter, ...more] = host.slice(0, -domain.length - 1).split('.');
  if (word !== 'service' || more.length > 0) return {};
  return { service: service!, ...(datacenter === undefined ? {} : { datacenter }) };
}
