//! The merchants of a run by partition: one partition of many, which the brake protects, and small ones, which it does not.

use std::num::NonZeroU16;

use order_model::{PartitionCount, RoutingHash};

use super::BRAKE_FLOOR;
use crate::feed::merchant;

/// Merchants of the first partition; all the others have few.
const MANY: usize = BRAKE_FLOOR + 40;
const FEW: usize = 16;

/// The merchants of each partition, by its number: the same in every run.
pub fn fleet(partitions: u16) -> Vec<Vec<u32>> {
    let wanted = |partition: usize| if partition == 0 { MANY } else { FEW };
    let mut fleet = vec![Vec::new(); usize::from(partitions)];
    for number in 1.. {
        let members = fleet.iter().enumerate();
        if members.into_iter().all(|(partition, members)| members.len() == wanted(partition)) {
            break;
        }
        let partition = partition_of(number, partitions);
        if fleet[partition].len() < wanted(partition) {
            fleet[partition].push(number);
        }
    }
    fleet
}

/// Where a merchant belongs.
pub fn partition_of(number: u32, partitions: u16) -> usize {
    let count = PartitionCount(NonZeroU16::new(partitions).unwrap_or(NonZeroU16::MIN));
    usize::from(RoutingHash::of(merchant(number)).partition(count).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_partition_has_many_and_the_others_few() {
        let fleet = fleet(4);
        assert_eq!(fleet.iter().map(Vec::len).collect::<Vec<_>>(), [MANY, FEW, FEW, FEW]);
        assert!(fleet.iter().enumerate().all(|(at, all)| all.iter().all(|one| partition_of(*one, 4) == at)));
    }
}
