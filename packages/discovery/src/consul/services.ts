import { createHash } from 'node:crypto';
import { systemClock } from '@inmesh/core';
import { CONSUL_SERVICE_ANNOTATION } from '@inmesh/policy';
import type { PolicySource, SourceUpdate } from '@inmesh/policy/source';
import { Damping } from '../damping.ts';
import { follow } from './blocking.ts';
import type { ConsulParts } from './resolver.ts';

/** A service whose last instance left is known on: a call to it fails as one without endpoints, and does not go past the mesh. */
const KEEP_MS = 300_000;
const TROUBLE = 'services';

interface Entry {
  readonly key: string;
  readonly health: 'healthy' | 'draining';
  readonly protocol: string;
}

/** The services of Consul's catalog as ServiceEntries without members: `NAME.service.consul`, port 80. */
export function consulServices({ client, seats, troubles }: ConsulParts, domain = 'consul'): PolicySource {
  const { settings } = client;
  const { name } = settings;
  return {
    name: `services of ${name}`,
    watch: (onUpdate) => {
      let told: string | undefined;
      let failure: string | undefined;
      const tell = (entries: readonly Entry[]): void => {
        const text = textOf(entries, domain, settings.datacenter);
        if (text === told && failure === undefined) return;
        told = text;
        failure = undefined;
        const version = createHash('sha256').update(text).digest('hex').slice(0, 12);
        onUpdate({ ok: true, texts: [{ file: `services of ${name}`, text }], version } satisfies SourceUpdate);
      };
      const damping = new Damping<Entry>({
        clock: systemClock,
        keyOf: ({ key }) => key,
        keepMs: KEEP_MS,
        onOver: () => tell(damping.current()),
      });
      const following = follow(
        {
          ask: (since) => client.services(since),
          read: readServices,
          onAnswer: (entries, { doubtUntil }) => {
            troubles.clear(TROUBLE);
            tell(damping.list(entries, { doubtUntil }));
          },
          onFailure: (reason) => {
            troubles.set(TROUBLE, reason);
            damping.hold();
            if (reason === failure) return;
            failure = reason;
            onUpdate({ ok: false, reason: `${name}: ${reason}`, transient: true });
          },
        },
        { clock: systemClock, random: Math.random, seats, waitMs: settings.waitMs },
      );
      return {
        close: () => {
          damping.close();
          following.close();
        },
      };
    },
  };
}

/** What a host may be made of; other names can be given one by a ServiceEntry with the annotation. */
const LABEL = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;

/** `{ "api": ["v1", "protocol=grpc"] }`. The servers themselves, and sidecars of Consul's own mesh, are nobody to call. */
function readServices(body: unknown): readonly Entry[] {
  if (typeof body !== 'object' || body === null || Array.isArray(body) || Buffer.isBuffer(body))
    throw new Error('answered with something that is no list of services');
  return Object.entries(body).flatMap(([given, tags]): Entry[] => {
    const key = given.toLowerCase();
    if (!LABEL.test(key) || key === 'consul' || key.endsWith('-sidecar-proxy')) return [];
    return [{ key, health: 'healthy', protocol: protocolOf(tags) }];
  });
}

const PROTOCOLS: Readonly<Record<string, string>> = {
  'protocol=grpc': 'GRPC',
  'protocol=http2': 'HTTP2',
  'protocol=tcp': 'TCP',
  'protocol=http': 'HTTP',
};

function protocolOf(tags: unknown): string {
  const said = (Array.isArray(tags) ? tags : []).find((tag): tag is string => typeof tag === 'string' && Object.hasOwn(PROTOCOLS, tag));
  return said === undefined ? 'HTTP' : PROTOCOLS[said]!;
}

function textOf(entries: readonly Entry[], domain: string, datacenter: string): string {
  const items = entries
    .toSorted((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ key, protocol }) => ({
      apiVersion: 'networking.istio.io/v1',
      kind: 'ServiceEntry',
      // Registries of several datacenters know services of one name.
      metadata: {
        name: datacenter === '' ? key : `${key}.${datacenter}`,
        namespace: 'consul',
        annotations: { [CONSUL_SERVICE_ANNOTATION]: key },
      },
      spec: {
        hosts: [`${key}.service.${domain}`, ...(datacenter === '' ? [] : [`${key}.service.${datacenter}.${domain}`])],
        location: 'MESH_INTERNAL',
        resolution: 'STATIC',
        ports: [{ number: 80, name: protocol.toLowerCase(), protocol }],
      },
    }));
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
}
