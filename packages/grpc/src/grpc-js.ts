import type * as GrpcJs from '@grpc/grpc-js';
import { MeshError } from '@inmesh/core';
import { createRequire } from 'node:module';

let loaded: typeof GrpcJs | undefined;

/** The program's own @grpc/grpc-js, loaded when it is first needed: programs without gRPC do without it. Throws MISUSE if it is not installed. */
export function grpcJs(): typeof GrpcJs {
  if (loaded !== undefined) return loaded;
  try {
    return (loaded = createRequire(import.meta.url)('@grpc/grpc-js') as typeof GrpcJs);
  } catch (error) {
    throw new MeshError('MISUSE', 'mesh.grpc needs @grpc/grpc-js 1.14: npm install @grpc/grpc-js', { cause: error });
  }
}
