import { describe, expect, it } from 'vitest';
import { jsonSchema, jsonSchemaOf } from './json-schema.ts';
import { kinds } from './kinds/index.ts';
import { mesh } from './testing/mesh.ts';

interface Node {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly required?: readonly string[];
  readonly items?: Node;
  readonly additionalProperties?: boolean | Node;
  readonly description?: string;
  readonly deprecated?: boolean;
  readonly minimum?: number;
  readonly anyOf?: readonly Node[];
}

/** As much of JSON Schema as the schemas use; enough to see that they accept what parse accepts. */
function faults(schema: Node, value: unknown, path: string): string[] {
  if (schema.anyOf !== undefined)
    return schema.anyOf.some((one) => faults(one, value, path).length === 0) ? [] : [`${path}: none of anyOf`];
  if (schema.const !== undefined && schema.const !== value) return [`${path}: another constant`];
  if (schema.enum !== undefined && !schema.enum.includes(value)) return [`${path}: not one of ${schema.enum.join()}`];
  const type = Array.isArray(value) ? 'array' : typeof value;
  if (schema.type !== undefined && schema.type !== type && !(schema.type === 'integer' && Number.isInteger(value)))
    return [`${path}: ${type} is not ${schema.type}`];
  if (Array.isArray(value))
    return value.flatMap((item: unknown, index) => (schema.items === undefined ? [] : faults(schema.items, item, `${path}[${index}]`)));
  if (value === null || typeof value !== 'object') return [];
  const missing = (schema.required ?? []).filter((key) => !Object.hasOwn(value, key)).map((key) => `${path}.${key} is missing`);
  const inner = Object.entries(value).flatMap(([key, item]) => {
    const property =
      schema.properties?.[key] ?? (typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined);
    if (property !== undefined) return faults(property, item, `${path}.${key}`);
    return schema.additionalProperties === false ? [`${path}.${key} is unknown`] : [];
  });
  return [...missing, ...inner];
}

const schemas = new Map(kinds.map((kind) => [kind.kind, jsonSchemaOf(kind) as Node]));

describe('JSON Schema', () => {
  it.each(mesh().map((resource) => resource as { kind: string }))('accepts a $kind that parse accepts', (resource) => {
    expect(faults(schemas.get(resource.kind) ?? {}, resource, '')).toEqual([]);
  });

  it('refuses unknown fields, and has meanings, bounds and deprecations for editors', () => {
    const spec = schemas.get('VirtualService')?.properties?.['spec'];
    const http = spec?.properties?.['http']?.items;
    expect(faults(spec ?? {}, { hosts: ['a'], http: [{ rout: [] }] }, '')).toEqual(['.http[0].rout is unknown']);
    expect(http?.properties?.['timeout']).toMatchObject({ type: 'string', description: expect.stringContaining('whole call') as string });
    expect(http?.properties?.['mirrorPercent']?.deprecated).toBe(true);
    expect(http?.properties?.['retries']?.properties?.['attempts']).toMatchObject({ type: 'integer' });
    const strict = JSON.stringify(schemas.get('Service'));
    expect(strict).not.toContain('"additionalProperties":false');
  });

  it('covers every kind in one schema', () => {
    expect((jsonSchema() as { oneOf: unknown[] }).oneOf).toHaveLength(kinds.length);
  });
});
