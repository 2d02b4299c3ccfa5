//! Room for labels: where one can stand without touching what stands there already.

/// A box, in pixels, y downwards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    /// Left end.
    pub x: f64,
    /// Upper end.
    pub y: f64,
    /// Width.
    pub w: f64,
    /// Height.
    pub h: f64,
}

impl Area {
    /// A box around its middle.
    pub fn around([x, y]: [f64; 2], [w, h]: [f64; 2]) -> Self {
        Self { x: x - w / 2.0, y: y - h / 2.0, w, h }
    }

    /// Its middle.
    pub fn middle(&self) -> [f64; 2] {
        [self.x + self.w / 2.0, self.y + self.h / 2.0]
    }

    fn touches(&self, other: &Self) -> bool {
        self.x < other.x + other.w && other.x < self.x + self.w && self.y < other.y + other.h && other.y < self.y + self.h
    }

    fn holds(&self, other: &Self) -> bool {
        self.x <= other.x && self.y <= other.y && other.x + other.w <= self.x + self.w && other.y + other.h <= self.y + self.h
    }
}

/// A part of a picture, and what is taken of it.
#[derive(Debug)]
pub struct Room {
    bounds: Area,
    taken: Vec<Area>,
}

impl Room {
    /// Nothing is taken yet.
    pub fn new(bounds: Area) -> Self {
        Self { bounds, taken: Vec::new() }
    }

    /// Keeps labels off a box.
    pub fn take(&mut self, area: Area) {
        self.taken.push(area);
    }

    /// Keeps labels off a line.
    pub fn take_line(&mut self, [a, b]: [[f64; 2]; 2]) {
        let steps = ((b[0] - a[0]).hypot(b[1] - a[1]) / 4.0).ceil().clamp(1.0, 1e3) as usize;
        for step in 0..=steps {
            let t = step as f64 / steps as f64;
            self.take(Area::around([a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])], [3.0, 3.0]));
        }
    }

    /// Takes the first of the boxes that is free; `None` where none is.
    pub fn place(&mut self, boxes: impl IntoIterator<Item = Area>) -> Option<Area> {
        let free = |area: &Area| self.bounds.holds(area) && !self.taken.iter().any(|other| other.touches(area));
        let found = boxes.into_iter().find(free)?;
        self.take(found);
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stand_where_nothing_stands() {
        let mut room = Room::new(Area { x: 0.0, y: 0.0, w: 100.0, h: 20.0 });
        room.take_line([[0.0, 18.0], [100.0, 18.0]]);
        let places = |x: f64| [4.0, 12.0].map(|y| Area { x, y, w: 30.0, h: 10.0 });
        assert_eq!(room.place(places(0.0)), Some(places(0.0)[0]));
        assert_eq!(room.place(places(29.0)), None, "touches the first label, or the line");
        assert_eq!(room.place(places(31.0)), Some(places(31.0)[0]));
        assert_eq!(room.place(places(71.0)), None, "reaches out of the room");
    }
}
