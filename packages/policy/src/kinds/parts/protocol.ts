import * as v from 'valibot';
import type { ServicePort } from '../../model.ts';
import { clip } from '../../schema/scalars.ts';

/** Istio's protocol names (pkg/config/protocol), which are read without regard to case. */
const PROTOCOLS: Readonly<Record<string, ServicePort['protocol']>> = {
  HTTP: 'HTTP',
  HTTP_PROXY: 'HTTP',
  HTTPS: 'HTTPS',
  HTTP2: 'HTTP2',
  GRPC: 'GRPC',
  'GRPC-WEB': 'GRPC_WEB',
  'GRPC-WEB-TEXT': 'GRPC_WEB',
  TCP: 'TCP',
  TLS: 'TLS',
  MONGO: 'MONGO',
  MYSQL: 'MYSQL',
  REDIS: 'REDIS',
  UDP: 'UDP',
};

/** The model's protocol for a name, or undefined if Istio knows none. */
export function parseProtocol(name: string): ServicePort['protocol'] | undefined {
  const key = name.toUpperCase();
  return Object.hasOwn(PROTOCOLS, key) ? PROTOCOLS[key] : undefined;
}

/** A protocol name → the model's word. */
export const protocol = v.pipe(
  v.string(),
  v.rawTransform<string, ServicePort['protocol']>(({ dataset, addIssue, NEVER }) => {
    const known = parseProtocol(dataset.value);
    if (known !== undefined) return known;
    addIssue({
      message: `"${clip(dataset.value)}" is not a protocol\nwrite one of HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TCP, TLS, MONGO, MYSQL, REDIS`,
    });
    return NEVER;
  }),
);
