import { explainPolicy, MeshError } from '@inmesh/core';
import { type Locality, workload } from '@inmesh/policy';
import type { Caller, Header } from './arguments.ts';
import { Exit } from './exit.ts';
import type { Io } from './io.ts';
import { modelFor } from './model.ts';
import { printExplanation } from './output/explanation.ts';
import { paintFor } from './output/paint.ts';

export interface ExplainArgs {
  /** Files, folders, or `-` for standard input; together they are one document. */
  readonly files: readonly string[];
  /** The workload that makes the request. */
  readonly from: Caller;
  readonly labels: Readonly<Record<string, string>>;
  /** Default: unknown. */
  readonly locality?: Locality | undefined;
  /** Port addressed, where it is not the URL's. */
  readonly port?: number | undefined;
  readonly method: string;
  readonly url: string;
  readonly headers: readonly Header[];
  readonly output: 'text' | 'json';
}

/** `inmesh explain`: what would become of a request, and why. `parse` and `resolve` of @inmesh/policy and `explainPolicy` of @inmesh/core, printed. */
export async function explain(args: ExplainArgs, io: Io): Promise<Exit> {
  const { files, from, labels, locality, port, method, url, headers } = args;
  const model = await modelFor(files, workload({ ...from, labels, locality }), io);
  if (typeof model === 'number') return model;
  try {
    const explanation = explainPolicy(model, { method, url, headers, port });
    io.stdout.write(
      args.output === 'json'
        ? `${JSON.stringify(explanation, null, 2)}\n`
        : printExplanation(explanation, paintFor(io, 'stdout'), io.columns),
    );
    return Exit.OK;
  } catch (error) {
    if (!(MeshError.is(error) && error.code === 'MISUSE')) throw error;
    io.stderr.write(`inmesh: ${error.message}\n`);
    return Exit.USAGE;
  }
}
