import { describe, expect, it } from 'vitest';
import { check } from './checked.ts';
import type { KubeObject } from './informer.ts';
import { parseScope, placesOf } from './scope.ts';

const route = (code: unknown): KubeObject => ({
  metadata: {
    name: 'reviews',
    namespace: 'shop',
    resourceVersion: '7',
    managedFields: [{}],
    annotations: { 'kubectl.kubernetes.io/last-applied-configuration': 'long', keep: 'me' },
  },
  spec: { hosts: ['reviews'], http: [{ directResponse: { status: code } }] },
  status: { observedGeneration: 3 },
});
const virtualService = (code: unknown, before?: ReturnType<typeof check>) =>
  check('networking.istio.io/v1', 'VirtualService', route(code), before);

describe('an object of the cluster', () => {
  it('is the same text whatever the server writes into it', () => {
    const { text } = virtualService(200);
    expect(text!.file).toBe('VirtualService shop/reviews');
    expect(JSON.parse(text!.text)).toEqual({
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: { name: 'reviews', namespace: 'shop', annotations: { keep: 'me' } },
      spec: route(200)['spec'],
    });
  });

  it('is left out where it does not parse, and holds as it was where it once did', () => {
    const bad = virtualService('many');
    expect(bad).toMatchObject({ holds: 'nothing', text: undefined });
    expect(bad.problem).toMatch(/^VirtualService shop\/reviews spec\.http\[0\]\.directResponse\.status: .*; it is left out$/);
    const good = virtualService(200);
    const broken = virtualService('many', good);
    expect(broken).toMatchObject({ holds: 'earlier', text: good.text, resource: good.resource });
    expect(virtualService('more', broken)).toMatchObject({ holds: 'earlier', text: good.text });
    expect(virtualService(201, broken)).toMatchObject({ holds: 'itself', problem: '' });
  });

  it.each([
    [
      'AuthorizationPolicy',
      { selector: { matchLabels: { app: 'a' } }, action: 'ALOW' },
      { selector: { matchLabels: { app: 'a' } }, action: 'DENY', rules: [{}] },
    ],
    ['AuthorizationPolicy', { selector: 'a', rules: [] }, { action: 'DENY', rules: [{}] }],
    ['PeerAuthentication', { mtls: { mode: 'STRIKT' } }, { mtls: { mode: 'STRICT' } }],
  ])('keeps callers out where it is a %s of %j', (kind, spec, instead) => {
    const { text, holds, problem } = check('security.istio.io/v1', kind, { metadata: { name: 'x', namespace: 'shop' }, spec });
    expect(holds).toBe('guard');
    expect((JSON.parse(text!.text) as { spec: unknown }).spec).toEqual(instead);
    expect(problem).toContain('keeps out everybody');
  });
});

describe('a scope', () => {
  it('is namespaces, all of them, or that of the process', () => {
    expect(parseScope('')).toBeUndefined();
    expect(parseScope('shop')).toEqual(['shop']);
    expect(parseScope('shop + web+shop')).toEqual(['shop', 'web']);
    expect(parseScope('*')).toBe('*');
    expect(() => parseScope('Shop')).toThrow('"Shop" is no namespace');
  });

  it('is asked for in each namespace, or once', () => {
    const collection = { root: '/apis/g/v1', plural: 'things', kind: 'Thing', namespaced: true };
    expect(placesOf(collection, ['a', 'b']).map(({ path }) => path)).toEqual([
      '/apis/g/v1/namespaces/a/things',
      '/apis/g/v1/namespaces/b/things',
    ]);
    expect(placesOf(collection, '*').map(({ path }) => path)).toEqual(['/apis/g/v1/things']);
    expect(placesOf({ ...collection, namespaced: false }, ['a']).map(({ path }) => path)).toEqual(['/apis/g/v1/things']);
  });
});
