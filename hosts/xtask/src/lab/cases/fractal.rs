//! Pictures of the fractal service: what RSPLIB's user shows on a screen, and what ours writes, by
//! elements of ours and of RSPLIB's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rserpool::services::fractal::{Algorithm, Parameter, render};

use super::Case;
use super::ours::AT;
use super::rsplib::{self, PATIENCE};
use crate::lab::Lab;
use crate::lab::guest::{Guest, Program};
use crate::lab::process::{Process, await_some};
use crate::lab::screen::{self, ON_SCREEN};

pub(super) const CASE: Case = Case {
    name: "fractal-pictures",
    what: "fractalpooluser on a screen, and rsp call fractal: the same pictures by either element",
    patience: Duration::from_secs(400),
    has_boards: false,
    run,
};

fn run(lab: &mut Lab) -> Result<()> {
    let mut guest = lab.boot()?;
    rsplib::encapsulate(&mut guest)?;
    rsplib::registrar(&mut guest)?;
    screen::start(&mut guest)?;
    let mut elements = Vec::new();
    for pool in POOLS {
        elements.push(Element::start(lab, &mut guest, pool, elements.len())?);
    }
    for (name, parameter) in [("mandelbrot", MANDELBROT), ("mandelbrot-n", MANDELBROT_N)] {
        compare_shown(lab, &mut guest, name, &parameter)?;
        compare_written(lab, name, &parameter)?;
    }
    let [first, ..] = <[Element; 2]>::try_from(elements).ok().context("two elements")?;
    go_on(lab, &mut guest, first)
}

/// RSPLIB's user shows the same picture by either element.
fn compare_shown(lab: &Lab, guest: &mut Guest, name: &str, parameter: &Parameter) -> Result<()> {
    let folder = folder(lab, name, parameter)?;
    let mut pictures = Vec::new();
    for pool in POOLS {
        let user = user(guest, &folder, pool, parameter)?;
        user.await_text("Removing outgoing session", PICTURE_PATIENCE)?;
        pictures.push(await_picture(guest, parameter)?);
        guest.signal(&user, "KILL")?;
    }
    let [ours, theirs] = <[Picture; 2]>::try_from(pictures).ok().context("two pictures")?;
    let equal_count = ours.iter().zip(&theirs).filter(|(our, their)| our == their).count();
    let pixel_count = theirs.len();
    let verdict = (equal_count == pixel_count).then_some(()).context("they differ");
    let what = format!(
        "fractalpooluser shows {name} by rsp serve and by rspserver: {equal_count} of \
         {pixel_count} pixels are equal"
    );
    lab.check(&what, verdict)?;
    let colour_count = check_colours(&ours, parameter);
    let what = format!("each value that is computed here has one colour in {name}");
    let colour_count = lab.check(&what, colour_count)?;
    println!("   {colour_count} colours");
    Ok(())
}

/// Our user writes the same picture by either element.
fn compare_written(lab: &Lab, name: &str, parameter: &Parameter) -> Result<()> {
    let mut pictures = Vec::new();
    for pool in POOLS {
        let out = format!("{name}-{pool}.png");
        let Parameter { width, height, iterations_max, c1, c2, n, .. } = parameter;
        let center = format!("{},{}", f64::midpoint(c1.0, c2.0), f64::midpoint(c1.1, c2.1));
        let span = c2.0 - c1.0;
        let exponent = match parameter.algorithm {
            Algorithm::Mandelbrot => String::new(),
            Algorithm::MandelbrotN => format!("--exponent {n}"),
        };
        let words = format!(
            "call fractal --pool {pool} --size {width}x{height} --iterations {iterations_max} \
             --center {center} --span {span} {exponent} --check --out {out} {AT}"
        );
        lab.rsp(&format!("call-{name}-{pool}"), &words)?.finish(PICTURE_PATIENCE)?;
        pictures.push(std::fs::read(lab.folder.join(out))?);
    }
    let is_same = (pictures[0] == pictures[1]).then_some(()).context("the pictures differ");
    let what = format!("rsp call fractal writes the same {} bytes of {name}", pictures[0].len());
    lab.check(&what, is_same)
}

/// RSPLIB's user begins a picture at an element of ours, which is killed, and goes on at one of
/// RSPLIB's: nothing of it is lost.
fn go_on(lab: &Lab, guest: &mut Guest, first: Element) -> Result<()> {
    let Element::Ours(first) = first else { unreachable!("it is the first pool's") };
    let pool = POOLS[0];
    let folder = folder(lab, "long", &LONG)?;
    let user = user(guest, &folder, pool, &LONG)?;
    user.await_text("Got cookie", PATIENCE)?;
    first.kill()?;
    Element::start_theirs(guest, pool, "0x33330003")?;
    let gone_on = user.await_text("Sending Cookie Echo", PATIENCE);
    lab.check("fractalpooluser goes on at rspserver when rsp serve is killed", gone_on)?;
    user.await_text("Removing outgoing session", PICTURE_PATIENCE)?;
    let colour_count = check_colours(&await_picture(guest, &LONG)?, &LONG);
    let what = "the picture of both is as computed here: each value has one colour";
    let colour_count = lab.check(what, colour_count)?;
    println!("   {colour_count} colours");
    Ok(())
}

/// An element, in a pool of its own at first.
enum Element {
    Ours(Process),
    Rsplibs,
}

impl Element {
    fn start(lab: &Lab, guest: &mut Guest, pool: &str, index: usize) -> Result<Self> {
        let id = format!("0x3333000{index}");
        if index > 0 {
            return Self::start_theirs(guest, pool, &id).map(|()| Self::Rsplibs);
        }
        let place = format!("--listen 10.77.0.11:0/9899 {AT}");
        let words = format!("serve fractal --pool {pool} --identifier {id} {place}");
        let element = lab.rsp("element", &words)?;
        element.await_text("ready at", PATIENCE)?;
        Ok(Self::Ours(element))
    }

    fn start_theirs(guest: &mut Guest, pool: &str, id: &str) -> Result<()> {
        let words = format!("rspserver -fractal -poolhandle={pool} -identifier={id}");
        let element = guest.spawn(&format!("stdbuf -oL {words} {AT_RSPLIBS}"))?;
        element.await_text("Registration successful", PATIENCE)
    }
}

/// Starts RSPLIB's user with the picture that is described in `folder`.
fn user(
    guest: &mut Guest,
    folder: &std::path::Path,
    pool: &str,
    parameter: &Parameter,
) -> Result<Program> {
    let Parameter { width, height, .. } = parameter;
    let folder = folder.display();
    guest.spawn(&format!(
        "{ON_SCREEN} stdbuf -oL fractalpooluser -poolhandle={pool} -configdir={folder} \
         -width={width} -height={height} -threads=1 -recvtimeout=3000 -interimagetime=600 \
         -nocolormarks -nosessions {AT_RSPLIBS}"
    ))
}

/// Colours, row by row.
type Picture = Vec<u32>;

/// What stands on the screen when nothing changes any more.
fn await_picture(guest: &mut Guest, parameter: &Parameter) -> Result<Picture> {
    let (width, height) = (parameter.width as usize, parameter.height as usize);
    let mut before = Vec::new();
    let found = await_some(PATIENCE, || {
        std::thread::sleep(STILL);
        let now = screen::pixels(guest, width, height)?;
        let is_still = now == before;
        before = now;
        Ok(is_still.then(|| before.clone()))
    })?;
    found.context("the screen is never still")
}

/// Checks that a picture shows what is computed here: each value has one colour. How many colours
/// there are.
fn check_colours(picture: &Picture, parameter: &Parameter) -> Result<usize> {
    let mut colours = BTreeMap::new();
    for (index, (value, colour)) in render(parameter).into_iter().zip(picture).enumerate() {
        let known = colours.entry(value).or_insert(colour);
        let (x, y) = (index % parameter.width as usize, index / parameter.width as usize);
        ensure!(
            *known == colour,
            "{value} is {known:06x}, and {colour:06x} at {x},{y}: some of it is wrong"
        );
    }
    let count = colours.values().collect::<BTreeSet<_>>().len();
    ensure!(count > COLOUR_COUNT_MIN, "there are only {count} colours");
    Ok(count)
}

/// Describes a picture for RSPLIB's user, which takes any of a folder; the folder.
///
/// # Errors
///
/// If it cannot be written.
pub(super) fn folder(lab: &Lab, name: &str, parameter: &Parameter) -> Result<PathBuf> {
    let Parameter { width, height, iterations_max, c1, c2, n, .. } = parameter;
    let algorithm = match parameter.algorithm {
        Algorithm::Mandelbrot => "Mandelbrot",
        Algorithm::MandelbrotN => "MandelbrotN",
    };
    let folder = lab.folder.join(name);
    std::fs::create_dir_all(&folder)?;
    let text = format!(
        "<!DOCTYPE XMLFractalSave>\n<FractalV1>\n<Algorithm>\n\
         <AlgorithmName>{algorithm}</AlgorithmName>\n\
         <C1Real>{}</C1Real>\n<C1Imag>{}</C1Imag>\n<C2Real>{}</C2Real>\n<C2Imag>{}</C2Imag>\n\
         <Useroptions>\n<MaxIterations>{iterations_max}</MaxIterations>\n<N>{n}</N>\n\
         </Useroptions>\n</Algorithm>\n\
         <ColorScheme>\n<ColorSchemeName>SimpleHSV</ColorSchemeName>\n</ColorScheme>\n\
         <Resolution>{width}*{height}</Resolution>\n</FractalV1>\n",
        c1.0, c1.1, c2.0, c2.1
    );
    std::fs::write(folder.join("picture.fsf"), text)?;
    Ok(folder)
}

/// The picture that takes a while: the whole set, with much of its inside.
pub(super) const LONG: Parameter = Parameter {
    width: 240,
    height: 160,
    iterations_max: 12_000,
    algorithm: Algorithm::Mandelbrot,
    c1: (-0.75, -1.0),
    c2: (2.25, 1.0),
    n: 2.0,
};

const MANDELBROT: Parameter = Parameter { iterations_max: 400, ..LONG };

const MANDELBROT_N: Parameter = Parameter {
    iterations_max: 200,
    algorithm: Algorithm::MandelbrotN,
    c1: (-1.5, -1.0),
    c2: (1.5, 1.0),
    n: 3.0,
    ..LONG
};

/// The pools of our element and of RSPLIB's.
const POOLS: [&str; 2] = ["OursPool", "TheirsPool"];

/// How RSPLIB's programs find the registrar.
const AT_RSPLIBS: &str = "-registrar=10.77.0.2:3863 -asapannounce=off -loglevel=6 -logcolor=off";

/// How long a picture may take: it is drawn pixel by pixel.
const PICTURE_PATIENCE: Duration = Duration::from_secs(90);

/// After this time without a change the picture is complete.
const STILL: Duration = Duration::from_millis(700);

/// A picture of an instructive part of the set has many more.
const COLOUR_COUNT_MIN: usize = 10;
