import { toJsonSchema, type JsonSchema } from '@valibot/to-json-schema';
import * as v from 'valibot';
import { kinds } from './kinds/index.ts';
import type { Kind } from './kinds/kind.ts';
import { metadataSchema } from './parse/metadata.ts';
import type { Facts, Schema } from './schema/fields.ts';

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
  const { $schema: _, ...converted } = toJsonSchema(schema, {
    typeMode: 'input',
    errorMode: 'ignore',
    overrideSchema: ({ valibotSchema, jsonSchema }) => {
      const description = v.getDescription(valibotSchema);
      const { deprecated }: Facts = v.getMetadata(valibotSchema);
      const closed = jsonSchema.properties !== undefined && !open;
      return {
        ...jsonSchema,
        ...(description !== undefined && { description }),
        ...(deprecated !== undefined && { deprecated: true }),
        ...(closed && { additionalProperties: false }),
      };
    },
  });
  return converted;
}
