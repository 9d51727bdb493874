import type { MeshEvent } from '@inmesh/core';
import { constrain, type Enforced, type Model } from '@inmesh/policy';
import { type Objectives, objectives } from '@inmesh/telemetry';

/** The mesh, as far as objectives change what it does. */
interface Engine {
  readonly model: Model;
  apply(model: Model, version: string): void;
  adjust(model: Model): void;
}

/** Between documents and the mesh: while budgets burn, the policy in force is what the enforcement of their objectives makes of the document. */
export class Enforcement {
  readonly objectives: Objectives;
  /** By objective whose enforcement holds, in the order in which it began: the model in force before. */
  readonly #before = new Map<string, Model>();
  #engine: Engine | undefined = undefined;
  /** What the document in force says. */
  #said: Model | undefined = undefined;
  /** What is done to it. */
  #done = '';

  constructor(onEvent: (event: MeshEvent) => void) {
    this.objectives = objectives({ onEvent, onChange: () => this.#adjust() });
  }

  /** The mesh was made, with the model of its first document. */
  start(engine: Engine): void {
    this.#engine = engine;
    this.#use(engine.model);
  }

  /** Puts the model of a document in force. Throws what the mesh throws, and changes nothing then. */
  apply(said: Model, version: string): void {
    const enforced = this.#enforced(said);
    this.#engine!.apply(constrain(said, enforced), version);
    this.#done = nameOf(enforced);
    this.#use(said);
  }

  close(): void {
    this.objectives.close();
  }

  #use(said: Model): void {
    this.#said = said;
    this.objectives.use(said.objectives);
    // The document may ask for something else of an objective, or for another objective, whose budget does not burn.
    this.#adjust();
  }

  #adjust(): void {
    const enforced = this.#enforced(this.#said!);
    if (nameOf(enforced) === this.#done) return;
    try {
      this.#engine!.adjust(constrain(this.#said!, enforced));
      this.#done = nameOf(enforced);
    } catch {
      // The mesh is closed, or has told of it as of a document that does not compile: what is in force goes on.
    }
  }

  #enforced(said: Model): readonly Enforced[] {
    const burning = new Set(this.objectives.enforced().map(({ resource }) => resource));
    for (const resource of this.#before.keys()) if (!burning.has(resource)) this.#before.delete(resource);
    for (const resource of burning) if (!this.#before.has(resource)) this.#before.set(resource, this.#engine!.model);
    return [...this.#before].flatMap(([resource, before]) => {
      const objective = said.objectives.find((one) => one.resource === resource);
      return objective === undefined || objective.enforcement === null ? [] : [{ objective, before }];
    });
  }
}

const nameOf = (enforced: readonly Enforced[]): string =>
  JSON.stringify(enforced.map(({ objective }) => [objective.resource, objective.service, objective.enforcement]));
