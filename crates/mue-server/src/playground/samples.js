// Scenes with sentences about them: one that holds, one that does not, one that nobody can tell.

export const SAMPLES = [
  {
    file: "scene-024.png",
    shows: "a large yellow cross, a large red triangle and a large yellow triangle",
    hypotheses: [
      "there are more yellow objects than red objects",
      "there is a large blue ring",
      "the red triangle is soft",
    ],
  },
  {
    file: "scene-020.png",
    shows: "a large purple triangle, a large blue ring and a large blue triangle with a box",
    hypotheses: [
      "the purple triangle is left of the blue triangle",
      "the blue ring is below the blue triangle",
      "there is a small green circle",
    ],
  },
  {
    file: "scene-025.png",
    shows: "three large red circles and a large blue square with a box",
    hypotheses: [
      "there is a large blue square",
      "there is no large circle",
      "there is a small white cross",
    ],
  },
  {
    file: "scene-010.png",
    shows: "two small white triangles and a large red triangle",
    hypotheses: [
      "there are more small objects than large objects",
      "there is a blue ring",
      "the red triangle is cheap",
    ],
  },
  {
    file: "scene-023.png",
    shows: "four small purple triangles and a large purple triangle",
    hypotheses: [
      "there is a large purple triangle",
      "there are more large objects than small objects",
      "the large purple triangle is soft",
    ],
  },
  {
    file: "scene-030.png",
    shows: "a large yellow circle left of a large blue ring with a box",
    hypotheses: [
      "the blue ring is right of the yellow circle",
      "the yellow circle is right of the blue ring",
      "there is a small red square",
    ],
  },
];
