//! The handlespace on every storage: small, middling and on the heap.

use rserpool::heap_storage::{HeapLimits, HeapStorage};
use rserpool_core::entropy::{Entropy, SplitMix64};
use rserpool_core::handlespace::{Handlespace, Inline};
use rserpool_tests::handlespace_model::{Limits, drive};

fn heap(limits: Limits) -> Handlespace<HeapStorage> {
    let Limits { elements, pools, owners, blocks } = limits;
    let limits = HeapLimits::for_elements(elements).with_pools(pools);
    Handlespace::new(HeapStorage::new(limits.with_owners(owners).with_blocks(blocks)))
}

#[test]
fn random_commands_agree_with_the_model_on_every_storage() {
    const ROUNDS: u64 = 60;
    for seed in 0..ROUNDS {
        println!("seed {seed}");
        let mut commands = vec![0; 3000];
        SplitMix64::new(seed).fill(&mut commands);
        let tiny = Limits { elements: 8, pools: 3, owners: 2, blocks: 4 };
        drive(&mut Handlespace::new(Inline::<8, 3, 2, 4>::new()), tiny, &commands);
        let small = Limits { elements: 64, pools: 6, owners: 5, blocks: 16 };
        drive(&mut Handlespace::new(Inline::<64, 6, 5, 16>::new()), small, &commands);
        drive(&mut heap(small), small, &commands);
        let large = Limits { elements: 5000, pools: 5000, owners: 100, blocks: 5000 };
        drive(&mut heap(large), large, &commands);
    }
}
