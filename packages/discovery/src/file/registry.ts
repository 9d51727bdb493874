import type { Closeable } from '@inmesh/core';
import { type Member, parseMembers } from '@inmesh/policy';
import { fileSource, type FileSourceOptions } from '@inmesh/policy/source';
import { type KnownMember, MemberWatch, namesOf, takesMembers } from '../members/member-watch.ts';
import type { Registry } from '../registry.ts';

export interface FileRegistryOptions extends FileSourceOptions {
  /** How long an endpoint that vanished from the file takes calls while nobody else can. Default 30 s. */
  readonly keepMs?: number;
}

/**
 * Members of services from a file (or a folder of them), read again whenever it changes: a map from the host of a service, or
 * `name.namespace`, to a list of what a WorkloadEntry says, and `health`. What the file does not name is for others to know. One that is broken
 * or gone changes nothing but `trouble`.
 */
export function fileRegistry(path: string, { keepMs, ...options }: FileRegistryOptions = {}): Registry {
  const source = fileSource(path, options);
  const watches = new Set<MemberWatch>();
  let following: Closeable | undefined;
  let services: ReadonlyMap<string, readonly Member[]> | undefined;
  let trouble = '';

  const tell = (watch: MemberWatch): void => {
    if (services !== undefined) watch.list(membersOf(services, watch));
    if (trouble !== '') watch.fail(trouble);
  };
  const follow = (): Closeable =>
    source.watch((update) => {
      const parsed = update.ok ? parseMembers(update.texts) : undefined;
      trouble = update.ok ? (parsed?.ok === false ? summary(parsed.problems) : '') : update.reason;
      if (parsed?.ok === true) ({ services } = parsed);
      for (const watch of watches)
        if (trouble === '') tell(watch);
        else watch.fail(trouble);
    });

  return {
    name: `file ${source.name}`,
    trouble: () => trouble,
    resolver: {
      name: 'file',
      handles: takesMembers,
      watch: (ref, onChange, { clock }) => {
        const watch = new MemberWatch(ref, onChange, { clock, keepMs });
        watches.add(watch);
        following ??= follow();
        tell(watch);
        return {
          close: () => {
            watch.close();
            watches.delete(watch);
            if (watches.size > 0) return;
            following?.close();
            following = undefined;
            // Whoever comes next reads the file anew.
            services = undefined;
            trouble = '';
          },
        };
      },
    },
  };
}

function membersOf(
  services: ReadonlyMap<string, readonly Member[]>,
  { ref: { service } }: MemberWatch,
): readonly KnownMember[] | undefined {
  const lists = namesOf(service).flatMap((name) => services.get(name.toLowerCase()) ?? []);
  const named = namesOf(service).some((name) => services.has(name.toLowerCase()));
  return named ? lists.map((member) => ({ member, workload: '', namespace: service.namespace })) : undefined;
}

const summary = ([first = '', ...more]: readonly string[]): string => (more.length === 0 ? first : `${first} (and ${more.length} more)`);
