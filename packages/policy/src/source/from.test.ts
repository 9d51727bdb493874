import { expect, it } from 'vitest';
import { sourceFrom } from './from.ts';
import { memorySource } from './memory.ts';
import { firstUpdate, systemPace } from './source.ts';

it('knows files, URLs and sources by their look', () => {
  expect(sourceFrom('policy/mesh.yaml').name).toBe('policy/mesh.yaml');
  expect(sourceFrom('file:policy').name).toBe('policy');
  expect(sourceFrom('C:\\policy').name).toBe('C:\\policy');
  expect(sourceFrom('https://policy.internal/mesh').name).toBe('https://policy.internal/mesh');
  expect(sourceFrom(new URL('file:///etc/mesh')).name).toBe('/etc/mesh');
  const own = memorySource('');
  expect(sourceFrom(own)).toBe(own);
});

it('takes a document itself', async () => {
  const text = 'kind: MeshConfig\nspec: {}\n';
  expect(await firstUpdate(sourceFrom(text), 1000, systemPace)).toMatchObject({ ok: true, texts: [{ file: 'inline', text }] });
  expect(await firstUpdate(sourceFrom([{ file: 'a', text }]), 1000, systemPace)).toMatchObject({ ok: true, texts: [{ file: 'a', text }] });
});

it('refuses what nobody speaks', () => {
  expect(() => sourceFrom('consul://mesh')).toThrow('unknown policy source "consul://mesh": use a path, file:, http: or https:');
  expect(() => sourceFrom(' ')).toThrow('the policy source is empty');
});
