import { explainInbound as explainCall, MeshError } from '@inmesh/core';
import { tokenVerifiers } from '@inmesh/identity';
import { workload } from '@inmesh/policy';
import type { Caller, Header } from './arguments.ts';
import { Exit } from './exit.ts';
import type { Io } from './io.ts';
import { modelFor } from './model.ts';
import { printInbound } from './output/inbound.ts';
import { paintFor } from './output/paint.ts';

export interface ExplainInboundArgs {
  /** Files, folders, or `-` for standard input; together they are one document. */
  readonly files: readonly string[];
  /** The workload that is called. */
  readonly to: Caller;
  readonly labels: Readonly<Record<string, string>>;
  /** Port of the workload. */
  readonly port: number;
  /** Whom the caller proves to be by mutual TLS; undefined: he comes in plaintext. */
  readonly principal?: string | undefined;
  readonly sourceIp?: string | undefined;
  /** A JWT. Its keys are fetched from where the policy says. */
  readonly token?: string | undefined;
  readonly method: string;
  readonly url: string;
  readonly headers: readonly Header[];
  readonly output: 'text' | 'json';
}

/** `inmesh explain --inbound`: what would become of a call to a workload, and why. `explainInbound` of @inmesh/core, printed. */
export async function explainInbound(args: ExplainInboundArgs, io: Io): Promise<Exit> {
  const { files, to, labels, output, ...call } = args;
  const model = await modelFor(files, workload({ ...to, labels }), io);
  if (typeof model === 'number') return model;
  try {
    const explanation = await explainCall(model, call, { tokens: tokenVerifiers() });
    io.stdout.write(
      output === 'json' ? `${JSON.stringify(explanation, null, 2)}\n` : printInbound(explanation, paintFor(io, 'stdout'), io.columns),
    );
    return Exit.OK;
  } catch (error) {
    if (!(MeshError.is(error) && error.code === 'MISUSE')) throw error;
    io.stderr.write(`inmesh: ${error.message}\n`);
    return Exit.USAGE;
  }
}
