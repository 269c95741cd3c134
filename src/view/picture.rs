//! A screen as an SVG picture, for documents.

use std::fmt::Write;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

/// Pixels of a cell's width.
const WIDTH: usize = 8;
/// Pixels of a cell's height; an even number, so that half blocks meet.
const HEIGHT: usize = 16;
/// Pixels around all cells.
const MARGIN: usize = 12;

const PAPER: &str = "#11151c";
const INK: &str = "#d7dce4";

/// The cells of a screen as a picture of fixed size. Blocks are drawn as rectangles, so that no font is needed for them.
#[must_use]
pub fn svg(screen: &Buffer) -> String {
    let (columns, rows) = (screen.area.width as usize, screen.area.height as usize);
    let (width, height) = (columns * WIDTH + 2 * MARGIN, rows * HEIGHT + 2 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{PAPER}\"/>\n"
    );
    for row in 0..rows {
        let cells: Vec<&Cell> = screen.content[row * columns..(row + 1) * columns]
            .iter()
            .collect();
        let mut column = 0;
        while column < columns {
            let same = cells[column..]
                .iter()
                .take_while(|cell| {
                    cell.style() == cells[column].style()
                        && is_block(cell) == is_block(cells[column])
                })
                .count();
            let run = &cells[column..column + same];
            draw(
                &mut svg,
                run,
                MARGIN + column * WIDTH,
                MARGIN + row * HEIGHT,
            );
            column += same;
        }
    }
    svg + "</svg>\n"
}

fn is_block(cell: &Cell) -> bool {
    cell.symbol().chars().any(|c| ('▀'..='█').contains(&c))
}

/// Cells of one style side by side.
fn draw(svg: &mut String, run: &[&Cell], x: usize, y: usize) {
    let style = run[0].style();
    let is_reversed = style.add_modifier.contains(Modifier::REVERSED);
    let color = style.fg.and_then(hex).unwrap_or(INK);
    let width = run.len() * WIDTH;
    // Writing into a string does not fail.
    if is_reversed {
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{HEIGHT}\" fill=\"{color}\"/>"
        );
    }
    if is_block(run[0]) {
        for (i, cell) in run.iter().enumerate() {
            let (top, height) = block(cell.symbol());
            let (x, y) = (x + i * WIDTH, y + top);
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{height}\" fill=\"{color}\"/>"
            );
        }
        return;
    }
    let text: String = run.iter().map(|cell| cell.symbol()).collect();
    let blank_before = text.len() - text.trim_start().len();
    let text = text.trim();
    if text.is_empty() {
        return;
    }
    let x = x + blank_before * WIDTH;
    let length = text.chars().count() * WIDTH;
    let color = if is_reversed { PAPER } else { color };
    let weight = match style.add_modifier.contains(Modifier::BOLD) {
        true => " font-weight=\"bold\"",
        false => "",
    };
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x}\" y=\"{}\" textLength=\"{length}\" fill=\"{color}\"{weight} xml:space=\"preserve\">{text}</text>",
        y + HEIGHT - 4
    );
}

/// Where a block element begins from the top of its cell, and how high it is, in pixels.
fn block(symbol: &str) -> (usize, usize) {
    match symbol.chars().next() {
        Some('▀') => (0, HEIGHT / 2),
        // Lower one eighth to the full block stand one after the other.
        Some(c) => {
            let eighths = (c as usize).saturating_sub('▀' as usize).min(8);
            (HEIGHT - HEIGHT * eighths / 8, HEIGHT * eighths / 8)
        }
        None => (0, 0),
    }
}

fn hex(color: Color) -> Option<&'static str> {
    match color {
        Color::Cyan => Some("#4fd6e8"),
        Color::Green => Some("#6fd08c"),
        Color::Yellow => Some("#f0c674"),
        Color::Blue => Some("#5c9dff"),
        Color::DarkGray => Some("#8b93a1"),
        _ => None,
    }
}
