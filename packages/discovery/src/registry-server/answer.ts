import * as v from 'valibot';
import { parseMember } from '@inmesh/policy';
import type { KnownMember } from '../members/member-watch.ts';

/** What a registry says, read as what it may be: anything. Each throws if it is not what was expected. */

const text = v.pipe(v.string(), v.maxLength(300));
const count = v.pipe(v.number(), v.integer(), v.minValue(0));

const hello = v.object({ epoch: text, index: count, heartbeatMs: v.pipe(v.number(), v.minValue(1), v.maxValue(600_000)) });
export type Hello = v.InferOutput<typeof hello>;
export const readHello = (data: unknown): Hello => v.parse(hello, data);

const catalog = v.object({
  services: v.array(
    v.object({
      host: text,
      namespace: text,
      ports: v.array(v.object({ name: text, number: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535)), protocol: text })),
    }),
  ),
});
export type Catalog = v.InferOutput<typeof catalog>['services'];
export const readCatalog = (data: unknown): Catalog => v.parse(catalog, data).services;

const service = v.object({
  service: text,
  members: v.nullable(v.array(v.object({ id: text, namespace: text, workload: text, member: v.unknown() }))),
});

/** A service and who is registered for it, by ID; null: nobody, and nobody ever was as far as the registry knows. */
export interface ServiceAnswer {
  readonly service: string;
  readonly members: ReadonlyMap<string, KnownMember> | null;
}

/** A member that cannot be read is left out: the others are no worse for it. */
export function readService(data: unknown): ServiceAnswer {
  const { service: host, members } = v.parse(service, data);
  if (members === null) return { service: host, members };
  const known = members.flatMap(({ id, namespace, workload, member }) => {
    const read = parseMember(member);
    return read.ok ? [[id, { member: read.member, namespace, workload }] as const] : [];
  });
  if (known.length === 0 && members.length > 0) throw new Error(`no member of ${host} can be read`);
  return { service: host, members: new Map(known) };
}

const picture = v.object({ epoch: text, index: count, services: v.array(v.unknown()), catalog: v.optional(v.unknown()) });

/** All of a stream at once. */
export interface Picture {
  readonly epoch: string;
  readonly index: number;
  readonly services: readonly ServiceAnswer[];
  readonly catalog: Catalog | undefined;
}

export function readPicture(data: unknown): Picture {
  const { epoch, index, services, catalog: listed } = v.parse(picture, data);
  return { epoch, index, services: services.map(readService), catalog: listed === undefined ? undefined : readCatalog(listed) };
}
