import { type FakeClock, fakeClock } from '@inmesh/core/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import { type ReadRegistration, readRegistration, type Registration } from './registration.ts';
import { Registrations } from './registrations.ts';

const here = { domain: 'cluster.local', from: '10.9.9.9' };
const read = (value: unknown): ReadRegistration => readRegistration(value, here);
const registration = (fields: object = {}): Registration => {
  const result = read({ service: 'reviews', address: '10.0.0.1', ports: { http: 9080 }, ...fields });
  return result.ok ? result.registration : expect.fail(result.problems.join());
};

/** The timer by which the registry notices that it slept. */
const BEAT = 1;
const REVIEWS = 'reviews.default.svc.cluster.local';
let clock: FakeClock;
let registrations: Registrations;
let changed: string[];
beforeEach(() => {
  clock = fakeClock();
  changed = [];
  registrations = open();
});
function open(kept = { epoch: 'e', index: 0, registrations: {} as Record<string, Registration> }): Registrations {
  const opened = new Registrations(clock, kept);
  opened.listen((host) => changed.push(host));
  return opened;
}
const ids = (host = REVIEWS): string[] | undefined => registrations.service(host)?.members.map(({ id }) => id);

describe('registrations', () => {
  it('last as long as their lease, which each renewal begins anew', () => {
    registrations.put('a', registration());
    registrations.put('b', registration({ address: '10.0.0.2', leaseSeconds: 10 }));
    clock.advance(9999);
    expect(registrations.renew('b')).toBe(true);
    clock.advance(9999);
    expect(ids()).toEqual(['a', 'b']);
    clock.advance(1);
    expect([ids(), registrations.expired]).toEqual([['a'], 1]);
    expect(registrations.renew('b')).toBe(false);
    clock.advance(10_001);
    expect([ids(), registrations.size, clock.pending]).toEqual([undefined, 0, BEAT]);
  });

  it('that are said again are renewals and no news; changes are news', () => {
    expect(registrations.put('a', registration())).toBe('created');
    clock.advance(29_000);
    expect(registrations.put('a', registration())).toBe('renewed');
    clock.advance(29_000);
    expect([registrations.index, changed]).toEqual([1, [REVIEWS]]);
    expect(registrations.put('a', registration({ weight: 3 }))).toBe('changed');
    expect([registrations.index, registrations.service(REVIEWS)]).toMatchObject([
      2,
      { version: 2, members: [{ id: 'a', member: { weight: 3 } }] },
    ]);
  });

  it('may move to another service, which is news for both', () => {
    registrations.put('a', registration());
    registrations.put('a', registration({ service: 'ratings' }));
    expect([ids(), ids('ratings.default.svc.cluster.local')]).toEqual([undefined, ['a']]);
    expect(new Set(changed)).toEqual(new Set([REVIEWS, 'ratings.default.svc.cluster.local']));
    expect(registrations.catalog.map(({ host }) => host)).toEqual(['ratings.default.svc.cluster.local']);
  });

  it('can be taken back', () => {
    registrations.put('a', registration());
    expect([registrations.remove('a'), registrations.remove('a')]).toEqual([true, false]);
    expect([ids(), registrations.index, clock.pending]).toEqual([undefined, 2, BEAT]);
  });

  it('survive a restart with a whole lease and the same history', () => {
    registrations.put('a', registration({ leaseSeconds: 10 }));
    clock.advance(9000);
    const kept = structuredClone(registrations.keep());
    registrations.close();
    // The registry was away for an hour.
    clock.advance(3_600_000);
    registrations = open(kept);
    expect([ids(), registrations.index, registrations.epoch]).toEqual([['a'], 1, 'e']);
    clock.advance(9999);
    expect(ids()).toEqual(['a']);
    clock.advance(1);
    expect([ids(), registrations.index]).toEqual([undefined, 2]);
  });

  it.each([
    ['long before a lease would have ended', 3600, 600_000],
    ['just before', 3600, 3_299_500],
    ['just after', 3600, 3_300_500],
    ['long after one that was nearly over when it fell asleep', 300.5, 3_600_000],
  ])('outlive a sleep of the registry itself, which wakes %s', (_, leaseSeconds, sleepMs) => {
    let asleep = false;
    const due = new Set<() => void>();
    // As of a frozen process: what fell due meanwhile comes when it wakes, unless it is cancelled first.
    const after = (ms: number, callback: () => void) => {
      const timer = clock.after(ms, () => (asleep ? due.add(callback) : callback()));
      return { cancel: () => (timer.cancel(), void due.delete(callback)) };
    };
    registrations = new Registrations({ ...clock, after }, { epoch: 'e', index: 0, registrations: {} });
    registrations.put('a', registration({ leaseSeconds }));
    clock.advance(300_000);
    asleep = true;
    clock.advance(sleepMs);
    asleep = false;
    for (const callback of due) callback();
    clock.advance(leaseSeconds * 1000 - 2000);
    expect(ids()).toEqual(['a']);
    clock.advance(4000);
    expect(ids()).toBeUndefined();
    registrations.close();
  });

  it('describe their services: ports by the votes of the members, protocols by the names of ports', () => {
    registrations.put('a', registration({ ports: { http: 9080, 'grpc-api': 9000, main: 7000 } }));
    registrations.put('b', registration({ ports: { http: 9081 } }));
    registrations.put('c', registration({ ports: { http: 9081 } }));
    expect(registrations.catalog).toEqual([
      { host: REVIEWS, namespace: 'default', ports: [{ name: 'grpc-api', number: 9000, protocol: 'GRPC' }, { name: 'http', number: 9081, protocol: 'HTTP' }, { name: 'main', number: 7000, protocol: 'HTTP' }] },
    ]); // prettier-ignore
    const before = registrations.catalogVersion;
    registrations.put('c', registration({ ports: { http: 9081 }, weight: 5 }));
    expect(registrations.catalogVersion).toBe(before);
    registrations.put('c', registration({ ports: { http: 9081 }, servicePorts: { http: 80 } }));
    expect(registrations.catalog[0]!.ports.find(({ name }) => name === 'http')?.number).toBe(80);
  });
});

describe('the body of a registration', () => {
  it('says all, with defaults', () => {
    expect(read({ service: 'reviews', ports: { http: 9080 } })).toEqual({
      ok: true,
      registration: {
        service: REVIEWS,
        namespace: 'default',
        workload: '',
        servicePorts: {},
        leaseSeconds: 30,
        member: { address: '10.9.9.9', ports: { http: 9080 }, labels: {} },
      },
    });
    expect(read({ service: 'Reviews', namespace: 'shop', ports: { http: 1 } })).toMatchObject({
      registration: { service: 'reviews.shop.svc.cluster.local' },
    });
    expect(read({ service: 'api.example.com', address: 'unix:///run/app.sock' })).toMatchObject({
      registration: { service: 'api.example.com' },
    });
  });

  it.each([
    ['null', null, /no JSON object/],
    ['a list', [], /no JSON object/],
    ['no service', { ports: { http: 1 } }, /service must be/],
    ['a service that is no host', { service: 'a b', ports: { http: 1 } }, /service must be/],
    ['a wildcard', { service: '*.example.com', ports: { http: 1 } }, /service must be/],
    ['no ports', { service: 'a' }, /ports is empty/],
    ['a port out of range', { service: 'a', ports: { http: 70_000 } }, /ports\.http/],
    ['a port without a name', { service: 'a', ports: { '': 1 } }, /no name of a port/],
    ['a service port of no name', { service: 'a', ports: { http: 1 }, servicePorts: { 'a b': 1 } }, /no name of a port/],
    ['an unknown field', { service: 'a', ports: { http: 1 }, adress: 'x' }, /did you mean address/],
    ['a lease without an end', { service: 'a', ports: { http: 1 }, leaseSeconds: 1e9 }, /leaseSeconds/],
    ['a lease of no time', { service: 'a', ports: { http: 1 }, leaseSeconds: 0 }, /leaseSeconds/],
    ['a lease that is no number', { service: 'a', ports: { http: 1 }, leaseSeconds: '9' }, /leaseSeconds/],
    ['service ports that are none', { service: 'a', ports: { http: 1 }, servicePorts: { http: 'x' } }, /servicePorts/],
    ['a namespace that is none', { service: 'a', ports: { http: 1 }, namespace: 'a.b' }, /namespace/],
    ['an address that is none', { service: 'a', ports: { http: 1 }, address: 'a b' }, /address/],
  ])('is refused with %s', (_, value, message) => {
    const result = read(value);
    expect(result.ok ? '' : result.problems.join('; ')).toMatch(message);
  });
});
