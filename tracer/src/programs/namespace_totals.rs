//! The sums of the kernel programs by network namespace.

use std::collections::BTreeSet;

use aya::Ebpf;
use aya::maps::{HashMap, MapData, MapError, PerCpuArray};
use tracer_ebpf::{MAX_NAMESPACES, Totals};

use crate::programs::{ProgramsError, map_error, take, take_stack};

/// The sums, and where those of a namespace are.
pub(crate) struct NamespaceTotals {
    totals: PerCpuArray<MapData, Totals>,
    places: HashMap<MapData, u32, u32>,
}

impl NamespaceTotals {
    /// Hands out the places: one to the namespace that is traced, if it is one (0 if not), the
    /// others to those that the programs come across.
    pub(crate) fn new(ebpf: &mut Ebpf, traced: u32) -> Result<Self, ProgramsError> {
        let mut places: HashMap<_, u32, u32> = take(ebpf, "PLACES")?;
        if traced != 0 {
            let inserted = places.insert(traced, 0, 0);
            inserted.map_err(map_error("PLACES"))?;
        }
        let first = u32::from(traced != 0);
        // The programs keep the map.
        drop(take_stack(ebpf, "FREE_PLACES", first, MAX_NAMESPACES)?);
        let totals = take(ebpf, "TOTALS")?;
        Ok(Self { totals, places })
    }

    /// The sums of one namespace; zero if nothing ever happened there.
    pub(crate) fn of(&self, netns: u32) -> Result<Totals, ProgramsError> {
        let place = match self.places.get(&netns, 0) {
            Ok(place) => place,
            Err(MapError::KeyNotFound) => return Ok(Totals::default()),
            Err(cause) => return Err(map_error("PLACES")(cause)),
        };
        let per_cpu = self.totals.get(&place, 0).map_err(map_error("TOTALS"))?;
        let sum = |sum: Totals, cpu: &Totals| sum.plus(cpu);
        Ok(per_cpu.iter().fold(Totals::default(), sum).with_unseen())
    }

    /// Every namespace in which something happened, and that which is traced, if it is one.
    pub(crate) fn namespaces(&self) -> Result<BTreeSet<u32>, ProgramsError> {
        let namespaces = self.places.keys().collect::<Result<_, _>>();
        namespaces.map_err(map_error("PLACES"))
    }
}
