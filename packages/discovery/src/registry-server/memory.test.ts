import { type FakeClock, fakeClock } from '@inmesh/core/testing';
import { parseMember } from '@inmesh/policy';
import { beforeEach, describe, expect, it } from 'vitest';
import type { ServiceAnswer } from './answer.ts';
import { Memory } from './memory.ts';

const HOST = 'reviews';
const SETTLE = 45_000;

let clock: FakeClock;
let memory: Memory;
let told: string[];
beforeEach(() => {
  clock = fakeClock();
  told = [];
  memory = new Memory(
    clock,
    SETTLE,
    () => told.push(known()),
    () => told.push(`catalog ${memory.catalog?.map(({ host }) => host).join()}`),
  );
});

const known = (): string => {
  const members = memory.members(HOST);
  return members === undefined ? 'unknown' : members === null ? 'nobody' : members.map(({ workload }) => workload).sort().join(); // prettier-ignore
};
function says(...ids: string[]): void {
  const parsed = parseMember({ address: '10.0.0.1' });
  const member = parsed.ok ? parsed.member : expect.fail();
  const members: ServiceAnswer['members'] = new Map(ids.map((id) => [id, { member, workload: id, namespace: 'default' }]));
  memory.hear({ service: HOST, members: ids.length === 0 ? null : members });
}

describe('a registry', () => {
  it('that goes on from where it was is believed at once, also when it says nobody', () => {
    memory.meet('one', 5);
    says('a', 'b');
    memory.reach(7);
    memory.meet('one', 7);
    says('b');
    expect(known()).toBe('b');
    says();
    expect([known(), clock.pending]).toEqual(['nobody', 0]);
  });

  it.each([
    ['has another history', 'two', 9],
    ['has gone back in its own', 'one', 6],
  ])('that %s is believed once it had the time to be told all again', (_, epoch, index) => {
    memory.meet('one', 5);
    says('a', 'b');
    memory.reach(7);
    memory.meet(epoch, index);
    says();
    expect(known()).toBe('a,b');
    says('b');
    says('b', 'c');
    expect(known()).toBe('a,b,c');
    clock.advance(SETTLE - 1);
    expect(known()).toBe('a,b,c');
    clock.advance(1);
    expect([known(), told.at(-1), clock.pending]).toEqual(['b,c', 'b,c', 0]);
  });

  it('that lost its memory twice has forgotten nobody in between', () => {
    memory.meet('one', 5);
    says('a', 'b');
    memory.meet('two', 0);
    says('b');
    clock.advance(SETTLE / 2);
    memory.meet('three', 0);
    says();
    clock.advance(SETTLE / 2);
    expect(known()).toBe('a,b');
    clock.advance(SETTLE / 2);
    expect(known()).toBe('nobody');
  });

  it('is believed of whoever registered again and left since', () => {
    memory.meet('one', 5);
    says('a', 'b');
    memory.meet('two', 0);
    says('b');
    expect(known()).toBe('a,b');
    says('c');
    expect(known()).toBe('a,c');
  });

  it('keeps services known for a while for which nobody is registered any more', () => {
    const entry = (host: string) => ({ host, namespace: 'default', ports: [] });
    memory.meet('one', 5);
    memory.hearCatalog([entry('x'), entry('y')]);
    memory.hearCatalog([entry('y'), entry('z')]);
    expect(told.at(-1)).toBe('catalog y,z,x');
    clock.advance(200_000);
    memory.hearCatalog([entry('z')]);
    clock.advance(100_000);
    expect(told.at(-1)).toBe('catalog z,y');
    memory.hearCatalog([entry('y'), entry('z')]);
    expect([told.at(-1), clock.pending]).toEqual(['catalog y,z', 0]);
  });

  it('is forgotten with its timers', () => {
    memory.meet('one', 5);
    says('a');
    memory.meet('two', 0);
    memory.hearCatalog([{ host: 'x', namespace: 'default', ports: [] }]);
    memory.hearCatalog([]);
    expect(clock.pending).toBe(2);
    memory.close();
    expect([clock.pending, known()]).toEqual([0, 'unknown']);
  });
});
