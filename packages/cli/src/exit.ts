/** How a command ends, in the codes of sysexits.h as istioctl uses them. */
export const Exit = {
  OK: 0,
  /** The command line cannot mean anything. */
  USAGE: 64,
  /** What was named (a policy, a CA) cannot be read at all. */
  UNREADABLE: 65,
  /** A fault of ours: please report it. */
  INTERNAL: 70,
  /** A file cannot be written, or exists already. */
  CANNOT_CREATE: 73,
  /** The policy was read and has errors. */
  PROBLEMS: 79,
} as const;

export type Exit = (typeof Exit)[keyof typeof Exit];
