//! Trains two residual SwiGLU blocks to predict the next character of a sentence, with f32 master weights and bf16 layers, and
//! checks that they learned it.

use ffwd::train::{NetworkSpec, Optimizer, Schedule, Task, Text, Trainer, TrainerOptions};
use ffwd::{Element, Error, Gate, Gpu};

fn main() -> Result<(), Error> {
    let gpu = Gpu::open(&Default::default())?;
    // The last tenth is for validation.
    let text = "Whether gates pay is a question of data, patience and parameters. ".repeat(40);
    let task = Task::Text(Text::new(&text, 8, 64, 4)?);
    let spec = NetworkSpec::new(Gate::parse("swiglu")?.into(), 2, 64, 168);
    let options = TrainerOptions {
        optimizer: Optimizer::adamw(0.01),
        schedule: Schedule { warm_up: 10, ..Schedule::constant(3e-3) },
        clip: Some(1.0),
        element: Element::Bf16,
        hidden: Element::Bf16,
        ..TrainerOptions::default()
    };
    let mut trainer = Trainer::new(&gpu, &spec, &task, &options)?;
    println!("{} bytes on {}", trainer.memory().total(), gpu.info().name);
    for _ in 0..4 {
        for _ in 0..50 {
            trainer.step()?;
        }
        let (records, evaluation) = (trainer.records()?, trainer.evaluate()?);
        let last = records.last().map_or(f32::NAN, |record| record.loss);
        println!("step {}: training loss {last:.4}, validation loss {:.4}", evaluation.step, evaluation.loss);
    }
    let loss = trainer.evaluate()?.loss;
    assert!(loss < 0.1, "a sentence that was read forty times is not known: {loss}");
    Ok(())
}
