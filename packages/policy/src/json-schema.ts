import { toJsonSchema, type JsonSchema } from '@valibot/to-json-schema';
import { kinds } from './kinds/index.ts';
import type { Kind } from './kinds/kind.ts';
import { metadataSchema } from './parse/metadata.ts';
import type { Schema } from './schema/fields.ts';
import { shapeOf, type Shape } from './schema/shape.ts';

/** JSON Schema (draft 07) of one kind, for editors: `# yaml-language-server: $schema=…`. From the definitions that `parse` uses. */
export function jsonSchemaOf(kind: Kind): JsonSchema {
  const body = convert(kind.schema, kind.open);
  const apiVersions = kind.versions.map((version) => (kind.group === '' ? version : `${kind.group}/${version}`));
  const metadata = { ...convert(metadataSchema, true), additionalProperties: true };
  const head = { apiVersion: { enum: apiVersions }, kind: { const: kind.kind }, metadata };
  const properties = kind.body === 'spec' ? { ...head, spec: body, status: {} } : { ...head, ...(body.properties as object) };
  const specNeeded = kind.body === 'spec' && (body.required ?? []).length > 0;
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: kind.kind,
    description: kind.summary,
    type: 'object',
    properties,
    required: ['apiVersion', 'kind', 'metadata', ...(specNeeded ? ['spec'] : [])],
    additionalProperties: kind.open || kind.body === 'root',
  };
}

/** JSON Schema of any resource of a policy document. */
export function jsonSchema(): JsonSchema {
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'inmesh policy',
    description: 'One resource of a policy document.',
    oneOf: kinds.map((kind) => {
      const { $schema: _, ...schema } = jsonSchemaOf(kind);
      return schema;
    }),
  };
}

function convert(schema: Schema, open: boolean): JsonSchema {
  const { $schema: _, ...converted } = toJsonSchema(schema, { typeMode: 'input', errorMode: 'ignore' });
  return told(converted, shapeOf(schema), open);
}

/** Meanings and closed maps: the converter stops reading at the first transformation, and leaves unknown keys open. */
function told(json: JsonSchema, shape: Shape, open: boolean): JsonSchema {
  switch (shape.kind) {
    case 'leaf':
      return json;
    case 'list':
      return { ...json, items: told(json.items as JsonSchema, shape.item, open) };
    case 'map':
      return { ...json, additionalProperties: told(json.additionalProperties as JsonSchema, shape.value, open) };
    case 'object': {
      const properties: Record<string, JsonSchema> = {};
      for (const [name, field] of shape.fields)
        properties[name] = {
          ...told(json.properties?.[name] as JsonSchema, field.shape, open),
          description: field.meaning,
          ...(field.facts.deprecated !== undefined && { deprecated: true }),
        };
      return { ...json, properties, ...(!open && { additionalProperties: false }) };
    }
  }
}
