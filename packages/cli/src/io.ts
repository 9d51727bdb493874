import { spawn } from 'node:child_process';

/** What a command may touch of the world, given: the process for people, strings in memory for tests. */
export interface Io {
  readonly stdin: AsyncIterable<string | Uint8Array>;
  /** Data: what was asked for. */
  readonly stdout: Sink;
  /** Messages: what went wrong, and how to put it right. */
  readonly stderr: Sink;
  /** Is a person at the other end? */
  readonly tty: { readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean };
  /** Width of the terminal behind stdout; Infinity where there is none: text for programs is never wrapped. */
  readonly columns: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Resolves when whoever started a command that runs on and on asks it to end (SIGINT, SIGTERM). */
  stopped(): Promise<void>;
  /** Shows an address in the browser of whoever is there, if there is one. */
  open(url: string): void;
}

export interface Sink {
  write(text: string): void;
}

/** The world of this process. */
export function processIo(): Io {
  const { stdin, stdout, stderr, env } = process;
  return {
    stdin,
    stdout: sink(stdout),
    stderr: sink(stderr),
    tty: { stdin: stdin.isTTY, stdout: stdout.isTTY, stderr: stderr.isTTY },
    columns: stdout.isTTY ? stdout.columns : Number.POSITIVE_INFINITY,
    env,
    stopped: () =>
      new Promise((resolve) => {
        for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
      }),
    open: openBrowser,
  };
}

/** Writes until the reader has had enough: `inmesh … | head` is no failure. */
function sink(stream: NodeJS.WriteStream): Sink {
  let open = true;
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    open = false;
  });
  return {
    write: (text) => {
      if (open) stream.write(text);
    },
  };
}

function openBrowser(url: string): void {
  const [command, ...args] =
    process.platform === 'darwin' ? ['open', url] : process.platform === 'win32' ? ['cmd', '/c', 'start', '', url] : ['xdg-open', url];
  // Where there is no browser the address was printed.
  spawn(command!, args, { detached: true, stdio: 'ignore' })
    .on('error', () => {})
    .unref();
}
