/** What is wrong at the moment, by whom it concerns; many often suffer from the same. */
export class Troubles {
  readonly #reasons = new Map<string, string>();

  set(of: string, reason: string): void {
    this.#reasons.set(of, reason);
  }

  clear(of: string): void {
    this.#reasons.delete(of);
  }

  /** A sentence; '' = nothing. */
  get text(): string {
    return [...new Set(this.#reasons.values())].join('; ');
  }
}
