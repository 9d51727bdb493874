/** What is wrong, or worth knowing, about a document: one finding with the place and the remedy. */
export interface Problem {
  /** Stable: an IST code of istioctl analyze where it finds the same, else `INM` and four digits (see `codes.ts`). */
  readonly code: string;
  readonly severity: 'error' | 'warning' | 'info';
  /** `Kind namespace/name`, or '' where no resource could be read. */
  readonly resource: string;
  /** Field path such as `spec.http[0].route[1].weight`, '' for the whole resource. */
  readonly path: string;
  readonly message: string;
  /** What to do about it; '' if the message says it all. */
  readonly hint: string;
  readonly file: string;
  /** 1-based; 0 if unknown. */
  readonly line: number;
  readonly column: number;
}
